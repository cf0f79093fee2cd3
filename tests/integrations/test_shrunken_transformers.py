"""Shrunken Transformers models: saved, loaded in a fresh process by their own class or by ours, and still generating."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import secateur as sc
from secateur.graph.analysis import analyse
from secateur.graph.branches import find_branches
from secateur.graph.groups import find_groups
from secateur.graph.plan import is_shrunken, noted
from secateur.graph.verify import tensors_of

T = pytest.importorskip("transformers")
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()

from secateur.integrations.transformers import FILE, fit_config_, from_pretrained, save_pretrained  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

TEXT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 20}
WORDS = {"vocab_size": 30, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
T5 = {"d_model": 16, "d_kv": 4, "d_ff": 20, "num_layers": 2, "num_heads": 4, "vocab_size": 30}
IDS = torch.randint(3, 30, (2, 6), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

MODELS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "bert": (lambda: T.BertForSequenceClassification(T.BertConfig(**TEXT, **WORDS)), {"input_ids": IDS}),
    "gpt2": (lambda: T.GPT2LMHeadModel(T.GPT2Config(n_embd=16, n_layer=2, n_head=4, **WORDS)), {"input_ids": IDS}),
    "llama": (lambda: T.LlamaForCausalLM(T.LlamaConfig(**TEXT, **WORDS, num_key_value_heads=2)), {"input_ids": IDS}),
    "qwen2": (lambda: T.Qwen2ForCausalLM(T.Qwen2Config(**TEXT, **WORDS, num_key_value_heads=2)), {"input_ids": IDS}),
    "vit": (lambda: T.ViTForImageClassification(T.ViTConfig(**TEXT, image_size=8, patch_size=4)), {"pixel_values": IMAGES}),
    "swin": (
        lambda: T.SwinForImageClassification(
            T.SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[2, 4], window_size=2, image_size=8, patch_size=2)
        ),
        {"pixel_values": IMAGES},
    ),
    "t5": (lambda: T.T5ForConditionalGeneration(T.T5Config(**T5)), {"input_ids": IDS, "decoder_input_ids": IDS}),
}  # fmt: skip

FIRST = "the first block goes"
# the groups to halve, by the ends of their names; whether a configuration says it; and which of its fields
CASES: dict[str, tuple[str, tuple[str, ...], dict[str, tuple[Any, Any]] | None]] = {
    "bert": ("bert", ("intermediate",), {"intermediate_size": (20, 10)}),
    "bert, first layer": ("bert", ("layer.0.intermediate",), None),
    "bert, heads": ("bert", ("query#2",), None),
    "gpt2": ("gpt2", ("mlp.c_fc",), {"n_inner": (None, 32)}),
    "gpt2, heads": ("gpt2", ("mlp.c_fc", "c_attn#2"), None),
    "llama": ("llama", ("mlp.gate_proj",), {"intermediate_size": (20, 10)}),
    "llama, heads": (
        "llama",
        ("mlp.gate_proj", "q_proj#2"),
        {"intermediate_size": (20, 10), "num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)},
    ),
    "llama, half of the queries of a key": ("llama", ("q_proj",), {"num_attention_heads": (4, 2)}),
    "llama, last layer": ("llama", ("layers.1.mlp.gate_proj",), None),
    "llama, a layer less": ("llama", (FIRST, "mlp.gate_proj"), {"num_hidden_layers": (2, 1), "intermediate_size": (20, 10)}),
    "gpt2, a layer and heads less": ("gpt2", (FIRST, "c_attn#2"), None),
    "vit, a layer less": ("vit", (FIRST,), {"num_hidden_layers": (2, 1)}),
    "qwen2, heads": (
        "qwen2", ("q_proj#2",), {"head_dim": (None, 4), "num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)}
    ),
    "vit": ("vit", ("mlp.fc1",), {"intermediate_size": (20, 10)}),
    "vit, heads": ("vit", ("layers.0.attention.q_proj#2",), None),
    "swin": ("swin", ("mlp.fc1",), {"mlp_ratio": (4.0, 2.0)}),
    "t5": ("t5", ("DenseReluDense.wi",), {"d_ff": (20, 10)}),
    "t5, encoder": ("t5", ("encoder.block.0.layer.1.DenseReluDense.wi",), None),
}  # fmt: skip


def lively(model: nn.Module) -> nn.Module:
    """Weights that let a signal pass."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0, p[0].numel() ** -0.5 if p.dim() > 1 else 0.3, generator=generator).add_(p.dim() == 1)
    return model.eval()


def shrunken(name: str, words: tuple[str, ...]) -> Any:
    make, x = MODELS[name]
    torch.manual_seed(0)
    model, plan = lively(make()), dict[str, Any]()
    for g in find_groups(model, {**x, **no_cache(name)}).prunable:
        if g.name.removesuffix(".dense").endswith(words):
            plan[g.name] = list(range(0, g.units, 2))
    if FIRST in words:
        given = {**x, **no_cache(name)}
        branches = find_branches(model, given, analyse(model, given))
        plan["layers"] = [k for k, b in enumerate(branches) if b.name.split(".0.")[0].endswith((".h", ".layers"))]
    shrunk = sc.shrink_(model, {**x, **no_cache(name)}, plan)
    assert shrunk.cut or shrunk.skipped
    return model


def no_cache(name: str) -> dict[str, Any]:
    return {"use_cache": False} if name in ("gpt2", "llama", "qwen2", "t5") else {}


def run(model: nn.Module, x: dict[str, Any]) -> list[Tensor]:
    with torch.no_grad():
        return list(tensors_of(model(**x)))


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) > 0 and all(map(torch.equal, a, b))


LOAD = """
import json, sys, torch
sys.path[:0] = [sys.argv[2]]
from test_shrunken_transformers import CASES, MODELS, T, from_pretrained, run
torch.set_num_threads(int(sys.argv[3]))
outputs = {}
for case in CASES:
    folder, x = f"{sys.argv[1]}/{case}", MODELS[CASES[case][0]][1]
    outputs[case] = [run(from_pretrained(folder), x)]
    if CASES[case][2] is not None:
        name = json.load(open(folder + "/config.json"))["architectures"][0]
        outputs[case].append(run(getattr(T, name).from_pretrained(folder).eval(), x))
torch.save(outputs, f"{sys.argv[1]}/outputs.pt")
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """All cases saved, and what a fresh process makes of them."""
    folder = tmp_path_factory.mktemp("saved")
    saved, expected = {}, {}
    for case, (name, words, _) in CASES.items():
        model = shrunken(name, words)
        note, fields = noted(model), model.config.to_dict()
        saved[case] = save_pretrained(model, folder / case, {**MODELS[name][1], **no_cache(name)})
        assert (noted(model), model.config.to_dict()) == (note, fields), "saving changes nothing"
        expected[case] = run(model, MODELS[name][1])
    path = os.pathsep.join(p for p in sys.path if Path(p).name != "zoo")  # the zoo's torchvision is built for another torch
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    here, threads = str(Path(__file__).parent), str(torch.get_num_threads())
    subprocess.run([sys.executable, "-c", LOAD, folder, here, threads], env=environment, check=True)
    return folder, saved, expected, torch.load(folder / "outputs.pt", weights_only=True)


@pytest.mark.parametrize("case", CASES)
def test_a_round_trip_in_a_fresh_process(everything: Any, case: str) -> None:
    folder, saved, expected, found = everything
    fields = CASES[case][2]
    assert saved[case].config == (fields or {})
    assert (saved[case].why_not is None) == (fields is not None), saved[case].why_not
    assert (folder / case / FILE).is_file() == (fields is None)
    assert len(found[case]) == (1 if fields is None else 2)
    assert all(equal(outputs, expected[case]) for outputs in found[case])


@pytest.mark.parametrize("case", [c for c in CASES if CASES[c][2] is None])
def test_what_no_configuration_says_is_not_loaded_as_if_it_did(everything: Any, case: str) -> None:
    """The class's own from_pretrained finds no weights: it makes no model of random ones."""
    folder, saved, _, _ = everything
    assert "load it with secateur.integrations.transformers.from_pretrained" in str(saved[case])
    with pytest.raises(OSError, match="no file named"):
        type(MODELS[CASES[case][0]][0]()).from_pretrained(folder / case)


@pytest.mark.parametrize("case", ["llama, heads", "llama, last layer", "gpt2", "gpt2, heads"])
def test_it_generates_with_a_cache(everything: Any, case: str) -> None:
    folder, _, _, _ = everything
    name, words, _ = CASES[case]
    model = shrunken(name, words)
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    text = model.generate(IDS, use_cache=True, **options)
    assert text.shape == (2, 14)
    assert torch.equal(text, model.generate(IDS, use_cache=False, **options))
    assert torch.equal(text, from_pretrained(folder / case).generate(IDS, **options))


def test_a_configuration_that_fits_makes_an_ordinary_model(tmp_path: Path) -> None:
    model = shrunken("llama", ("mlp.gate_proj", "q_proj#2"))
    shared = model.config
    before = run(model, MODELS["llama"][1])
    assert fit_config_(model, MODELS["llama"][1] | no_cache("llama")) == {
        "intermediate_size": (20, 10), "num_attention_heads": (4, 2), "num_key_value_heads": (2, 1),
    }  # fmt: skip
    assert (model.config.intermediate_size, shared.intermediate_size) == (10, 20), "another model's may be the same object"
    assert model.model.layers[0].mlp.intermediate_size == 10
    assert all(m.config is model.config for m in model.modules() if hasattr(m, "config"))
    assert not is_shrunken(model)
    assert equal(run(model, MODELS["llama"][1]), before)
    model.save_pretrained(tmp_path / "hf")
    assert equal(run(T.LlamaForCausalLM.from_pretrained(tmp_path / "hf"), MODELS["llama"][1]), before)
    sc.save(model, tmp_path / "m.safetensors")
    assert equal(run(sc.load(tmp_path / "m.safetensors", T.LlamaForCausalLM(model.config)).eval(), MODELS["llama"][1]), before)


def test_blocks_that_are_gone_leave_no_gap(tmp_path: Path) -> None:
    """Layers are numbered anew, so that a cache counts from the first that is there."""
    model = shrunken("llama", (FIRST,))
    before = run(model, {"input_ids": IDS, "use_cache": False})
    assert fit_config_(model, {"input_ids": IDS, "use_cache": False}) == {"num_hidden_layers": (2, 1)}
    assert [n for n in model.state_dict() if "layers.1" in n] == []
    assert equal(run(model, {"input_ids": IDS, "use_cache": False}), before)
    with torch.no_grad():
        cache = model(IDS[:, :5], use_cache=True).past_key_values
        last = model(IDS[:, 5:], past_key_values=cache).logits
    assert torch.allclose(last[:, -1], before[0][:, -1].float(), atol=1e-5)
    model.save_pretrained(tmp_path)
    assert equal(run(T.LlamaForCausalLM.from_pretrained(tmp_path), {"input_ids": IDS, "use_cache": False}), before)


def test_a_configuration_that_does_not_fit_leaves_the_model() -> None:
    model = shrunken("llama", ("layers.1.mlp.gate_proj",))
    note, config = noted(model), model.config
    with pytest.raises(sc.ModelError, match=r"no LlamaConfig says how small .*layers\.0\.mlp.* save it with secateur\.integr"):
        fit_config_(model, MODELS["llama"][1] | no_cache("llama"))
    assert noted(model) == note
    assert model.config is config


def test_shrunken_again_after_its_configuration_was_changed(tmp_path: Path) -> None:
    x = MODELS["llama"][1] | no_cache("llama")
    model = shrunken("llama", ("mlp.gate_proj",))
    fit_config_(model, x)
    sc.shrink_(model, x, {"model.layers.1.mlp.gate_proj": [0]})
    saved = save_pretrained(model, tmp_path, x)
    assert "model.layers.0.mlp.gate_proj.weight is (10, 16), and the nearest gives (9, 16)" in str(saved.why_not)
    assert equal(run(from_pretrained(tmp_path), x), run(model, x))


def test_a_dense_model_is_saved_as_ever(tmp_path: Path) -> None:
    model = lively(MODELS["vit"][0]())
    saved = save_pretrained(model, tmp_path, MODELS["vit"][1])
    assert (saved.config, saved.why_not) == ({}, None)
    assert "the configuration is as it was" in str(saved)
    assert equal(run(from_pretrained(tmp_path), MODELS["vit"][1]), run(model, MODELS["vit"][1]))


def test_types_and_generation_settings_come_along(tmp_path: Path) -> None:
    model = shrunken("gpt2", ("h.0.mlp.c_fc",)).to(torch.bfloat16)
    model.transformer.ln_f.float()
    model.generation_config.max_new_tokens = 3
    assert save_pretrained(model, tmp_path, MODELS["gpt2"][1]).why_not
    back = from_pretrained(tmp_path)
    types = {n: t.dtype for n, t in model.state_dict().items()}
    assert {n: t.dtype for n, t in back.state_dict().items()} == types
    assert set(types.values()) == {torch.bfloat16, torch.float32}
    assert back.generation_config.max_new_tokens == 3
    assert back.lm_head.weight is back.transformer.wte.weight


# What is refused


def test_a_folder_with_another_model(everything: Any, tmp_path: Path) -> None:
    x = MODELS["bert"][1]
    even, uneven = shrunken("bert", ("intermediate",)), shrunken("bert", ("layer.0.intermediate",))
    save_pretrained(uneven, tmp_path, x)
    save_pretrained(even, tmp_path, x)
    assert equal(run(from_pretrained(tmp_path), x), run(even, x)), "not the one saved there before"
    with pytest.raises(sc.RunError, match=r"model\.safetensors is another model's.*give an empty folder"):
        save_pretrained(uneven, tmp_path, x)


def test_models_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(sc.ModelError, match="Linear is no Transformers model; save it with"):
        save_pretrained(nn.Linear(2, 2), tmp_path, torch.randn(2, 2))
    model = T.BertModel(T.BertConfig(**TEXT, **WORDS), add_pooling_layer=False)
    with pytest.raises(sc.ModelError, match=r"BertModel\(config\) does not make the parameters of this model"):
        save_pretrained(model, tmp_path, MODELS["bert"][1])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(sc.RunError, match="cannot be written"):
        save_pretrained(shrunken("bert", ("layer.0.intermediate",)), tmp_path / "file", MODELS["bert"][1])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "there is no .*config.json; give a folder"),
        ("{", "config.json is no configuration"),
        ("{}", "config.json is no configuration"),
        ('{"architectures": ["NoSuchModel"]}', "has no model class 'NoSuchModel'; give it as model_class"),
        ('{"architectures": ["logging"]}', "has no model class 'logging'"),
    ],
)
def test_folders_that_are_none(tmp_path: Path, text: str | None, match: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(sc.FormatError, match=match):
        from_pretrained(tmp_path)


def test_a_damaged_file(everything: Any, tmp_path: Path) -> None:
    folder = everything[0] / "bert, first layer"
    for f in folder.iterdir():
        (tmp_path / f.name).write_bytes(f.read_bytes())
    content = bytearray((tmp_path / FILE).read_bytes())
    content[-1] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(sc.FormatError, match="is corrupt"):
        from_pretrained(tmp_path)


def test_a_class_of_ones_own(everything: Any) -> None:
    """One that holds a tensor which is no buffer: it has its values."""

    class Mine(T.BertForSequenceClassification):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.table = torch.arange(3)

    folder, _, expected, _ = everything
    case = "bert, first layer"
    back = from_pretrained(folder / case, Mine)
    assert (type(back), back.table.tolist()) == (Mine, [0, 1, 2])
    assert equal(run(back, MODELS["bert"][1]), expected[case])
