"""Files of shrunken models: what they say, and what is refused with the model as it was."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

import secateur as sc
from secateur.codec import inspect_file, load, read_metadata, read_shape, save
from secateur.codec.header import _checksum
from secateur.core.errors import FormatError, ModelError


class Settings:
    """A configuration that modules share."""

    def __init__(self, width: int) -> None:
        self.width, self.depths = width, [1, width]


class Block(nn.Module):
    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.up, self.down = nn.Linear(6, settings.width), nn.Linear(settings.width, 6)
        self.register_buffer("scale", torch.arange(1.0, settings.width + 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(self.up(x)).view(-1, 2, self.settings.width // 2).flatten(1)
        return self.down(y * self.scale)


class Net(nn.Module):
    def __init__(self, width: int = 12, classes: int = 3) -> None:
        super().__init__()
        self.block, self.head = Block(Settings(width)), nn.Linear(6, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(x))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    model, x = Net(), torch.randn(4, 6)
    assert sc.shrink_(model, x, {"block.up": [0, 4]}).cut == {"block.up": 2}
    return model.eval()


@pytest.fixture
def path(tmp_path: Path, model: nn.Module) -> Path:
    save(model, tmp_path / "m", metadata={"note": "text"})
    return tmp_path / "m"


def everything(model: nn.Module) -> dict[str, Any]:
    """All that loading could change."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        found[name, "keys"] = [*vars(module)], [(k, id(m)) for k, m in module._modules.items()]
        for kind in ("_parameters", "_buffers"):
            found |= {(name, kind, k): (t, t.data_ptr(), t.clone()) for k, t in vars(module)[kind].items() if t is not None}
        found[name, "plain"] = {k: v for k, v in vars(module).items() if isinstance(v, int | tuple)}
        if isinstance(module, Block) and isinstance(module.settings, Settings):
            found["settings"] = (module.settings, dict(vars(module.settings)), [*module.settings.depths])
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return all(map(same, a, b)) and len(a) == len(b) if isinstance(a, tuple | list) else a == b


def refused(path: Path, model: nn.Module, match: str) -> None:
    before = everything(model)
    with pytest.raises(FormatError, match=match) as e:
        load(path, model)
    assert str(e.value).startswith(str(path))
    assert "\n" not in str(e.value)
    assert same(everything(model), before)


def rewrite(path: Path, change: dict[str, object], checksum: bool = True) -> None:
    """The file with other metadata, under a valid checksum."""
    with safe_open(path, "pt") as f:
        fields = json.loads(f.metadata()["secateur"])
        stored = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    fields.update(change)
    if checksum:
        fields["checksum"] = _checksum(fields["tensors"], fields["shape"])
    safetensors.torch.save_file(stored, path, metadata={"secateur": json.dumps(fields)})


def test_what_the_file_says(path: Path, model: nn.Module) -> None:
    assert read_shape(path) == {
        "block.up.out_features": (12, 8), "block.down.in_features": (12, 8), "block.settings.width": (12, 8),
    }  # fmt: skip
    assert {r.name: r.shape for r in inspect_file(path)} == {
        "block.up.weight": (8, 6), "block.up.bias": (8,), "block.down.weight": (6, 8), "block.down.bias": (6,),
        "head.weight": (3, 6), "head.bias": (3,), "block.scale": (8,),
    }  # fmt: skip
    with safe_open(path, "pt") as f:
        fields = json.loads(f.metadata()["secateur"])
    assert (fields["format_version"], fields["shape"]["buffers"], fields["shape"]["skipped"]) == ("2", ["block.scale"], {})
    back = load(path, Net()).eval()
    x = torch.randn(5, 6)
    assert torch.equal(back(x), model(x))
    assert (back.block.settings.width, back.block.settings.depths) == (8, [1, 12])
    assert read_metadata(path) == {"note": "text"}


def test_a_dense_model_is_written_as_ever(tmp_path: Path) -> None:
    save(Net(), tmp_path / "m")
    with safe_open(tmp_path / "m", "pt") as f:
        fields = json.loads(f.metadata()["secateur"])
    assert fields["format_version"] == "1"
    assert "shape" not in fields
    assert read_shape(tmp_path / "m") is None
    assert "block.scale" not in fields["tensors"]


def test_the_same_model_again_and_a_compiled_one(path: Path, model: nn.Module, tmp_path: Path) -> None:
    x = torch.randn(5, 6)
    twice = load(path, load(path, Net())).eval()
    assert torch.equal(twice(x), model(x))
    compiled = torch.compile(Net(), backend="eager")
    load(path, compiled)
    assert torch.equal(compiled.eval()(x), model(x))
    save(compiled, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() != b""
    assert read_shape(tmp_path / "again") == read_shape(path)


def test_parameters_stay_the_same_objects(path: Path) -> None:
    fresh = Net()
    fresh(torch.randn(2, 6)).sum().backward()
    before = dict(fresh.named_parameters())
    load(path, fresh)
    assert all(p is before[n] for n, p in fresh.named_parameters())
    assert fresh.block.up.weight.grad is None
    assert fresh.head.weight.grad is not None
    fresh(torch.randn(2, 6)).sum().backward()
    assert fresh.block.up.weight.grad.shape == (8, 6)


# What is refused


def test_another_model(path: Path, tmp_path: Path) -> None:
    refused(path, nn.Linear(3, 2), "holds another model: it lacks 'weight', 'bias' and it adds")
    refused(path, Net(width=16), "from 12 to 8, and the model given has 16")
    refused(path, Net(width=6), r"is \(8, 6\) in the file and \(6, 6\) in the model")
    refused(path, Net(classes=4), "holds another model: head.out_features is 4 and its tensors are made for 3")
    refused(path, Net().double(), r"convert the model with .to\(torch.float32\)")
    save(Net(), tmp_path / "dense")
    refused(tmp_path / "dense", load(path, Net()), "the model given is shrunken: give a newly made one")


def test_a_model_that_keeps_its_settings_elsewhere(path: Path) -> None:
    other = Net()
    other.block.settings = {"width": 12.0}
    refused(path, other, "it changes block.settings.width, which Net does not have as an integer")
    other = Net()
    other.block = nn.Sequential()
    other.block.up, other.block.down = nn.Linear(6, 12), nn.Linear(12, 6)
    refused(path, other, "it changes block.settings.width, which Net does not have")


def test_a_buffer_that_has_no_place(path: Path) -> None:
    other = Net()
    del other.block.scale
    other.block.scale = 3
    refused(path, other, "'block.scale' is a buffer in the file and none in the model")


UP = ["block.up", ["out_features"], 12, 8]
INTEGERS = [UP, ["block.down", ["in_features"], 12, 8], ["block", ["settings", "width"], 12, 8]]
GOOD = {"integers": INTEGERS, "buffers": ["block.scale"], "skipped": {}}
DAMAGED = "has a damaged shape plan"


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        (None, "damaged"),
        ([], "damaged"),
        ({}, "damaged"),
        (GOOD | {"buffers": ["block.table"]}, "damaged"),
        (GOOD | {"buffers": []}, "holds another model: it adds 'block.scale'"),
        (GOOD | {"skipped": {"block": 1}}, "damaged"),
        (GOOD | {"skipped": ["block"]}, "damaged"),
        (GOOD | {"skipped": {"": False}}, "it skips the block '', which Net does not have"),
        (GOOD | {"skipped": {"block.up": False}}, "it skips the block 'block.up', which Net does not have"),
        (GOOD | {"integers": 3}, DAMAGED),
        (GOOD | {"integers": [[]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", [], 12, 8]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", ["out_features"], 12, 8.0]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", ["out_features"], 12, True]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", ["out_features"], 12, 2**63]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", [["out_features"]], 12, 8]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", ["_parameters", "weight"], 12, 8]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", ["training"], 1, 0]]}, DAMAGED),
        (GOOD | {"integers": [["block.up", ["__class__"], 1, 0]]}, "does not have as an integer"),
        (GOOD | {"integers": [["block", ["settings", "__class__"], 1, 0]]}, "does not have as an integer"),
        (GOOD | {"integers": [["block", ["settings", "depths", 7], 1, 0]]}, "does not have as an integer"),
        (GOOD | {"integers": [["block.left", ["out_features"], 1, 0]]}, "changes block.left.out_features, which Net does not"),
        (GOOD | {"integers": [UP]}, "block.down.in_features is 12 and its tensors are made for 8"),
        (GOOD | {"integers": []}, "block.up.out_features is 12 and its tensors are made for 8"),
    ],
)
def test_plans_that_lie(path: Path, shape: object, match: str) -> None:
    rewrite(path, {"shape": shape})
    refused(path, Net(), match)


def test_a_plan_under_another_checksum(path: Path) -> None:
    wrong = [
        ["block.up", ["out_features"], 12, 8],
        ["block.down", ["in_features"], 12, 8],
        ["block", ["settings", "width"], 12, 4],
    ]
    rewrite(path, {"shape": GOOD | {"integers": wrong}}, checksum=False)
    refused(path, Net(), "damaged")
    rewrite(path, {"format_version": "1"})
    refused(path, Net(), "damaged")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_loads_equal_or_is_refused(tmp_path: Path, model: nn.Module, data: st.DataObject) -> None:
    path = tmp_path / "m"
    save(model, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    other = Net()
    before = everything(other)
    try:
        load(path, other)
    except FormatError:
        assert same(everything(other), before)
    else:
        assert all(torch.equal(t, other.state_dict()[n]) for n, t in model.state_dict().items())
        assert other.block.settings.width == 8
    with contextlib.suppress(FormatError):
        inspect_file(path)


def test_loading_that_fails_last_leaves_the_model(path: Path) -> None:
    """A class's own loading hook raises when all else is done."""

    def hook(*args: object) -> None:
        raise RuntimeError("not today")

    other = Net()
    other.register_load_state_dict_pre_hook(hook)
    before = everything(other)
    with pytest.raises(RuntimeError, match="not today"):
        load(path, other)
    assert same(everything(other), before)


class Tower(nn.Module):
    """Blocks that add to what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList(Residual() for _ in range(4)), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 10), nn.Linear(10, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.tanh(self.up(x)))


def test_blocks_that_are_gone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, tower = torch.randn(4, 6), Tower()
    shrunk = sc.shrink_(tower, x, {"layers": [1], "blocks.2.up": [0, 1, 2]})
    assert (shrunk.skipped, shrunk.cut) == (("blocks.1",), {"blocks.2.up": 3})
    path = tmp_path / "m"
    save(tower, path)
    assert read_shape(path) == {"blocks.1": None, "blocks.2.up.out_features": (10, 7), "blocks.2.down.in_features": (10, 7)}
    back = load(path, Tower())
    assert torch.equal(back(x), tower(x))
    assert back.state_dict().keys() == tower.state_dict().keys()
    assert torch.equal(load(path, back)(x), tower(x)), "also into one that is as small"
    assert torch.equal(copy.deepcopy(back)(x), tower(x))
    short = Tower()
    del short.blocks[1:]
    refused(path, short, "it skips the block 'blocks.1', which Tower does not have")
    wrong = Tower()
    wrong.head = nn.Linear(6, 4)
    refused(path, wrong, "head.out_features is 4")
    sc.shrink_(tower, x, {"layers": [0]})
    save(tower, path)
    assert [n for n, sizes in read_shape(path).items() if sizes is None] == ["blocks.0", "blocks.1"]
    assert torch.equal(load(path, Tower())(x), tower(x))


def test_a_model_without_some_blocks_and_nothing_else(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, tower = torch.randn(4, 6), Tower()
    assert sc.shrink_(tower, x, {"layers": [0, 3]}).cut == {}
    save(tower, tmp_path / "m")
    assert torch.equal(load(tmp_path / "m", Tower())(x), tower(x))


def test_not_strict_takes_the_parts_that_are_there(path: Path, model: nn.Module) -> None:
    backbone = Net()
    backbone.head = nn.Identity()
    load(path, backbone, strict=False)
    x = torch.randn(3, 6)
    assert torch.equal(model.head(backbone.eval()(x)), model(x))
    head = nn.Module()
    head.head = nn.Linear(6, 3)
    load(path, head, strict=False)
    assert torch.equal(head.head.weight, model.head.weight)


def test_a_lazy_layer_has_no_size_yet(path: Path, tmp_path: Path) -> None:
    lazy = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(ModelError, match="of a lazy layer has no size yet"):
        save(lazy, tmp_path / "lazy")
    with pytest.raises(ModelError, match="of a lazy layer has no size yet"):
        load(path, lazy)
