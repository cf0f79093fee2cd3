"""The sizes that the papers print, and the laws every reference model obeys."""

from __future__ import annotations

import math

import pytest
import torch
from torch import fx, nn

from secateur.evaluate.macs import count_macs
from secateur.training.models import MODELS, build_model

PARAMETERS = {
    "lenet_300_100": 266_610,
    "lenet_5": 431_080,
    "digits_mlp": 50_610,
    "digits_cnn": 38_282,
    "conv_2": 4_301_642,
    "conv_4": 2_425_930,
    "conv_6": 2_262_602,
    "resnet_20": 269_722,
    "resnet_32": 464_154,
    "resnet_44": 658_586,
    "resnet_56": 853_018,
    "resnet_110": 1_727_962,
    "resnet_34": 21_797_672,
    "resnet_50": 25_557_032,
    "vgg_16_bn": 14_991_946,
    "mobilenet_v1": 4_231_976,
    "gpt": 826_368,
}
MACS = {
    "resnet_20": (32, 40_551_040),
    "resnet_56": (32, 125_485_696),
    "resnet_110": (32, 252_887_680),
    "vgg_16_bn": (32, 313_463_808),
    "mobilenet_v1": (224, 568_740_352),
    "resnet_34": (224, 3_663_761_408),
    "resnet_50": (224, 4_089_184_256),
}
WEIGHTS = {"lenet_300_100": 266_200, "lenet_5": 430_500}
THOUSAND = ("mobilenet_v1", "resnet_34", "resnet_50")
SHAPES = {"lenet_300_100": (1, 28, 28), "lenet_5": (1, 28, 28), "digits_mlp": (1, 8, 8), "digits_cnn": (1, 8, 8)}


def _input(name: str) -> torch.Tensor:
    if name == "gpt":
        return torch.randint(65, (2, 12))
    return torch.randn(2, *SHAPES.get(name, (3, 32, 32)))


def test_every_model_has_a_size_here() -> None:
    assert set(PARAMETERS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_parameters(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    if name in WEIGHTS:
        assert sum(p.numel() for p in model.parameters() if p.dim() > 1) == WEIGHTS[name]


@pytest.mark.parametrize("name", MACS)
def test_multiply_adds(name: str) -> None:
    side, macs = MACS[name]
    with torch.device("meta"):
        assert count_macs(build_model(name).eval(), torch.zeros(1, 3, side, side)).total == macs


@pytest.mark.parametrize("name", MODELS)
def test_forward_and_backward_reach_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name)
    logits = model(_input(name))
    assert logits.shape == {"gpt": (2, 12, 65), **dict.fromkeys(THOUSAND, (2, 1000))}.get(name, (2, 10))
    logits.logsumexp(-1).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize("name", [name for name in MODELS if name != "gpt"])
def test_fx_traces_to_the_same_function(name: str) -> None:
    model = build_model(name).eval()
    x = _input(name)
    with torch.no_grad():
        assert torch.equal(fx.symbolic_trace(model)(x), model(x))


@pytest.mark.parametrize("name", ["lenet_5", "resnet_20", "gpt"])
def test_export_traces(name: str) -> None:
    model = build_model(name).eval()
    x = _input(name)
    program = torch.export.export(model, (x,), strict=False)
    torch.testing.assert_close(program.module()(x), model(x))


def _std(module: nn.Module) -> float:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    return float(weight.detach().std())


def test_lenet_is_gaussian_glorot() -> None:
    torch.manual_seed(0)
    fc1 = build_model("lenet_300_100").get_submodule("fc1")
    assert _std(fc1) == pytest.approx(math.sqrt(2 / 1084), rel=0.01)
    weight, bias = fc1.weight, fc1.bias
    assert isinstance(weight, torch.Tensor)
    assert float(weight.detach().abs().max()) > 4 * _std(fc1)  # a uniform distribution ends at 1.73 of them
    assert isinstance(bias, torch.Tensor)
    assert not bias.any()


def test_resnet_is_kaiming_normal() -> None:
    torch.manual_seed(0)
    conv = build_model("resnet_20").get_submodule("layer3.2.conv1")
    assert _std(conv) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)


def test_gpt_residual_branches_start_smaller() -> None:
    torch.manual_seed(0)
    model = build_model("gpt", n_layer=8)
    assert _std(model.get_submodule("blocks.0.fc")) == pytest.approx(0.02, rel=0.02)
    assert _std(model.get_submodule("blocks.0.proj")) == pytest.approx(0.005, rel=0.02)


def test_gpt_is_causal() -> None:
    torch.manual_seed(0)
    model = build_model("gpt").eval()
    x = torch.randint(65, (1, 12))
    y = x.clone()
    y[0, 7] = (y[0, 7] + 1) % 65
    same = torch.isclose(model(x), model(y), atol=1e-6).all(-1)[0]
    assert same.tolist() == [True] * 7 + [False] * 5


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_width_multiplies_channels(width: float) -> None:
    inner = {"resnet_20": "layer3.0.conv1", "vgg_16_bn": "features.40", "mobilenet_v1": "features.0", "resnet_50": "layer4.1.bn3"}
    for name, wide in inner.items():
        with torch.device("meta"):
            weight, base = (build_model(name, **a).get_submodule(wide).weight for a in ({"width": width}, {}))
        assert isinstance(weight, torch.Tensor)
        assert isinstance(base, torch.Tensor)
        assert weight.shape[0] == width * base.shape[0]


def test_mobilenet_widths_of_the_paper() -> None:
    with torch.device("meta"):
        counts = [sum(p.numel() for p in build_model("mobilenet_v1", width=w).parameters()) for w in (0.25, 0.5, 0.75)]
    assert [round(n / 1e6, 1) for n in counts] == [0.5, 1.3, 2.6]


def test_stem_stride_keeps_the_resolution() -> None:
    x = torch.zeros(1, 3, 32, 32)
    features = build_model("mobilenet_v1", width=0.25, stem_stride=1).get_submodule("features")
    assert features(x).shape == (1, 256, 2, 2)


def test_dropout_is_a_module_of_its_own() -> None:
    model = build_model("lenet_300_100", dropout=0.5)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def test_imagenet_resnets_have_the_names_of_their_published_checkpoints() -> None:
    with torch.device("meta"):
        names = set(build_model("resnet_50").state_dict())
    assert {"conv1.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.running_var", "fc.bias"} <= names
    assert "layer1.1.downsample.0.weight" not in names
    assert len(names) == 320


@pytest.mark.parametrize("name", ["vgg_16_bn", "resnet_20", "lenet_5"])
def test_drawing_anew_leaves_nothing_of_the_old(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name)
    for tensor in model.state_dict().values():
        tensor.fill_(7)
    model.reset_parameters()  # type: ignore[operator]
    assert not any(bool((t == 7).any()) for t in model.state_dict().values())
