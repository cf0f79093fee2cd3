"""A shrunken model goes into a file and comes back, bit for bit, from the constructor of the dense one."""

from __future__ import annotations

import copy
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import nets
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_oracle import MODELS
from torch import Tensor, nn

import secateur as sc
from secateur.codec import inspect_file
from secateur.graph.groups import find_groups
from secateur.graph.plan import is_shrunken, noted
from secateur.graph.verify import tensors_of

SKIPPED = {"odd", "multihead-attention", "vgg", "mobilenet", "bottlenecks", "gpt"}  # two keep all units; four are like others
NETS = {name: found for name, found in MODELS.items() if name not in SKIPPED}


def run(model: nn.Module, x: Any) -> list[Tensor]:
    with torch.no_grad():
        return list(tensors_of(model(**x) if isinstance(x, dict) else model(x)))


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) > 0 and all(map(torch.equal, a, b))


def chosen(model: nn.Module, x: Any, seed: int, share: float = 0.5) -> dict[str, list[int]]:
    """Some units of every group that does not share indices with one taken before."""
    rng, plan = random.Random(seed), {}
    for g in sorted(find_groups(model, x).prunable, key=lambda g: -max(m.each for m in g.members)):
        if g.units > 1 and not g.statistics and not set(g.crosses) & plan.keys():
            plan[g.name] = sorted(rng.sample(range(g.units), round(share * (g.units - 1))))
    return plan


def shrunken(make: Any, x: Any, seed: int = 0) -> nn.Module:
    model = nets.built(make, x)
    assert sc.shrink_(model, x, chosen(model, x, seed)).cut
    return model


def dense(make: Any, x: Any) -> nn.Module:
    """As the constructor makes it, with other values."""
    model = nets.built(make, x)
    for p in model.parameters():
        nn.init.normal_(p)
    return model


def state(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


LOAD = """
import sys, torch
sys.path[:0] = [sys.argv[2]]
from test_shrunken_files import NETS, dense, run
import secateur as sc
torch.set_num_threads(int(sys.argv[3]))
outputs = {}
for name, (make, x, _) in NETS.items():
    x = torch.load(f"{sys.argv[1]}/{name}.pt", weights_only=True)
    outputs[name] = run(sc.load(f"{sys.argv[1]}/{name}.safetensors", dense(make, x)), x)
torch.save(outputs, f"{sys.argv[1]}/outputs.pt")
"""


def test_every_net_in_a_fresh_process(tmp_path: Path) -> None:
    expected = {}
    for name, (make, x, _) in NETS.items():
        model = shrunken(make, x)
        sc.save(model, tmp_path / f"{name}.safetensors")
        torch.save(x, tmp_path / f"{name}.pt")
        expected[name] = run(model, x)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    here, threads = str(Path(__file__).parent), str(torch.get_num_threads())
    subprocess.run([sys.executable, "-c", LOAD, tmp_path, here, threads], env=environment, check=True)
    found = torch.load(tmp_path / "outputs.pt", weights_only=True)
    assert found.keys() == expected.keys()
    assert [name for name in found if not equal(found[name], expected[name])] == []


SMALL = ["mlp", "shufflenet", "densenet", "grouped", "inception", "tied", "gqa", "vit", "gpt-tied", "squeeze-excite", "u-net"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SMALL), st.integers(0, 10**6), st.floats(0.1, 0.9), st.booleans())
def test_a_round_trip_is_exact(tmp_path: Path, name: str, seed: int, share: float, again: bool) -> None:
    """Whatever is cut, once or twice: tensors, integers and outputs are those of the shrunken model."""
    make, x, _ = NETS[name]
    model = nets.built(make, x)
    for part in range(1 + again):
        sc.shrink_(model, x, chosen(model, x, seed + part, share))
    sc.save(model, tmp_path / "m")
    back = sc.load(tmp_path / "m", dense(make, x))
    mine, its = state(model), state(back)
    assert [*mine] == [*its]
    assert all(torch.equal(t, its[n]) for n, t in mine.items())
    assert repr(back) == repr(model)
    assert noted(back) == noted(model)
    assert equal(run(back, x), run(model, x))


def test_shrunken_twice_is_noted_as_once() -> None:
    """The note holds what the constructor made and what is there now, however many cuts lie between."""
    model = nets.built(nets.mlp, None)
    x = torch.randn(4, 7)
    sc.shrink_(model, x, {"0": [0, 1]})
    sc.shrink_(model, x, {"0": [3], "2": [5]})
    assert {str(slot): sizes for slot, sizes in noted(model).items()} == {
        "0.out_features": (12, 9),
        "2.in_features": (12, 9),
        "2.out_features": (9, 8),
        "4.in_features": (9, 8),
    }


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", ["gqa", "resnet-20", "tied"])
def test_a_copy_is_as_good(tmp_path: Path, name: str, way: Any) -> None:
    make, x, _ = NETS[name]
    model = shrunken(make, x)
    other = way(model)
    assert noted(other) == noted(model)
    assert equal(run(other, x), run(model, x))
    sc.save(other, tmp_path / "m")
    assert equal(run(sc.load(tmp_path / "m", dense(make, x)), x), run(model, x))


def test_a_copy_is_shrunken_by_itself() -> None:
    x = torch.randn(4, 7)
    model = nets.built(nets.mlp, None)
    sc.shrink_(model, x, {"0": [0]})
    other = copy.deepcopy(model)
    sc.shrink_(other, x, {"0": [0]})
    assert (model[0].out_features, other[0].out_features) == (11, 10)
    assert set(noted(model).values()) == {(12, 11)}


def test_a_part_knows_what_it_lost(tmp_path: Path) -> None:
    """A backbone taken out of a shrunken model is saved like any other."""
    make, x, _ = NETS["resnet-20"]
    model = nn.Sequential(nets.built(make, x))
    sc.shrink_(model, x, chosen(model, x, 1))
    sc.save(model[0], tmp_path / "m")
    assert equal(run(sc.load(tmp_path / "m", dense(make, x)), x), run(model, x))


def test_what_was_put_back_is_not_noted() -> None:
    make, x, _ = MODELS["multihead-attention"]
    model = nets.built(make, x)
    assert not sc.shrink_(model, x, chosen(model, x, 0)).cut
    assert not is_shrunken(model)
    assert noted(model) == {}


class Raw(nn.Module):
    """Nothing but raw weights: no integer says how large they are."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(5, width)), nn.Parameter(torch.randn(width, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.a) @ self.b


def test_raw_weights_without_any_integer(tmp_path: Path) -> None:
    x = torch.randn(4, 5)
    model = Raw()
    (group,) = find_groups(model, x).prunable
    sc.shrink_(model, x, {group.name: [0, 3, 4]})
    assert (model.a.shape, noted(model)) == ((5, 7), {})
    sc.save(model, tmp_path / "m")
    assert equal(run(sc.load(tmp_path / "m", Raw()), x), run(model, x))
    with pytest.raises(sc.FormatError, match=r"'a' is \(5, 7\) in the file and \(5, 6\) in the model"):
        sc.load(tmp_path / "m", Raw(6))


class Tables(nn.Module):
    """Buffers that no ``state_dict`` has: one as wide as the layer, one of positions, one made when it is first needed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
        self.register_buffer("scale", torch.arange(8.0), persistent=False)
        self.register_buffer("positions", torch.arange(4).expand((1, -1)), persistent=False)
        self.register_buffer("again", torch.arange(8.0), persistent=False)
        self.register_buffer("later", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.later is None:
            self.later = torch.linspace(1, 2, 4)
        y = torch.tanh(self.first(x)) * self.scale + self.again
        return self.last(y[:, self.positions[0]] * self.later[:, None])


def test_buffers_that_no_state_dict_has(tmp_path: Path) -> None:
    x = torch.randn(2, 4, 5)
    torch.manual_seed(0)
    model = Tables()
    run(model, x)
    sc.shrink_(model, x, {"first": [0, 2, 3]})
    assert model.scale.tolist() == [1, 4, 5, 6, 7]
    sc.save(model, tmp_path / "m")
    back = sc.load(tmp_path / "m", Tables())
    assert back.scale.tolist() == [1, 4, 5, 6, 7]
    assert back.state_dict().keys() == Tables().state_dict().keys()
    assert equal([back.later], [model.later])
    assert equal(run(back, x), run(model, x))
    assert equal(run(copy.deepcopy(back), x), run(model, x))
    layouts = {r.name: r.layout for r in inspect_file(tmp_path / "m")}
    assert layouts["again"] == "= scale", "equal tables are stored once"
    back.again += 1
    assert back.scale.tolist() == [1, 4, 5, 6, 7], "and are two tables again"


FAMILIES = ["llama", "gpt2", "t5", "swin", "mamba", "phi3", "bert", "clip"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAMILIES)
def test_families(tmp_path: Path, name: str) -> None:
    from test_families import FAMILIES as KNOWN

    make, x, _ = KNOWN[name]
    torch.manual_seed(0)
    model = nets.randomise(make())
    assert sc.shrink_(model, x, chosen(model, x, 0)).cut
    before = run(model, x)
    sc.save(model, tmp_path / "m")
    back = sc.load(tmp_path / "m", make().eval())
    assert noted(back) == noted(model)
    assert equal(run(back, x), before)


def test_masks_of_a_shrunken_model(tmp_path: Path) -> None:
    """What is left may be sparse: units are gone, the zeros among the rest take no room."""
    make, x = lambda: nn.Sequential(nn.Linear(40, 80), nn.ReLU(), nn.Linear(80, 40)), torch.randn(4, 40)
    torch.manual_seed(0)
    model = make()
    sc.shrink_(model, x, {"0": range(40)})
    masks = {n: torch.rand(p.shape) < 0.1 for n, p in model.named_parameters() if p.dim() > 1}
    sc.save(model, tmp_path / "m", masks=masks)
    rows = {r.name: r for r in inspect_file(tmp_path / "m")}
    assert (rows["0.weight"].layout, rows["0.weight"].shape) == ("bitmask", (40, 40))
    back = sc.load(tmp_path / "m", make())
    assert all(torch.equal(back.get_parameter(n), model.get_parameter(n) * m) for n, m in masks.items())
