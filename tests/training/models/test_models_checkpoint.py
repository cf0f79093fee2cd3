from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

from secateur.core.errors import DataError, FormatError
from secateur.training.data import Data
from secateur.training.models import build_model, load_checkpoint


def _correct(model: nn.Module, data: Data, count: int) -> int:
    right = 0
    with torch.inference_mode():
        for start in range(0, count, 500):
            x, y = data.test[start : min(start + 500, count)]
            right += int((model.eval()(data.prepare(x)).argmax(1) == y).sum())
    return right


def _trained(depth: int, root: Path) -> nn.Module:
    file = root / f"checkpoints/resnet-cifar10/resnet{depth}.safetensors"
    if not file.is_file():
        pytest.skip(f"no checkpoint {file.name}")
    return load_checkpoint(build_model(f"resnet_{depth}"), file)


def test_round_trip_without_batch_norms_counters(tmp_path: Path) -> None:
    torch.manual_seed(0)
    a, b = build_model("resnet_20"), build_model("resnet_20")
    for module in a.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
    state = a.state_dict()
    save_file({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, tmp_path / "a.safetensors")
    assert load_checkpoint(b, tmp_path / "a.safetensors") is b
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in state.items())


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("resnet_32", {}, r"not of this ResNet: the file lacks layer1\.3\.conv1\.weight \(and 59 more\); build"),
        ("resnet_20", {"classes": 100}, r"linear\.weight is \(10, 64\) in the file and \(100, 64\) in the model \(and 1 more\)"),
        ("lenet_5", {}, r"the file lacks conv1\.bias \(and 6 more\); the model lacks bn1\.\w+ \(and 114 more"),
    ],
)  # fmt: skip
def test_another_model_is_refused_and_left_alone(tmp_path: Path, name: str, arguments: dict[str, int], says: str) -> None:
    save_file(build_model("resnet_20").state_dict(), tmp_path / "a.safetensors")
    model = build_model(name, **arguments)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(FormatError, match=says):
        load_checkpoint(model, tmp_path / "a.safetensors")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_checkpoint(nn.Linear(1, 1), tmp_path / "none.safetensors")


@given(st.integers(0, 90), st.binary(max_size=6))
def test_no_damage_crashes(tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes) -> None:
    raw = save({"weight": torch.ones(2, 2)})
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(raw[:at] + put)
    model = nn.Linear(2, 2, bias=False)
    try:
        load_checkpoint(model, path)
    except FormatError:
        return
    assert path.read_bytes()[-16:] == model.weight.detach().numpy().tobytes()


@pytest.mark.data
def test_resnet_20_on_the_first_thousand_test_pictures(data_root: Path, cifar10: Data) -> None:
    assert _correct(_trained(20, data_root), cifar10, 1000) == 915


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("depth", "right"), [(20, 9173), (32, 9263), (44, 9311), (56, 9339)])
def test_published_accuracies(data_root: Path, cifar10: Data, depth: int, right: int) -> None:
    # a tie between two logits may fall either way with another number of threads
    assert abs(_correct(_trained(depth, data_root), cifar10, 10_000) - right) <= 2
