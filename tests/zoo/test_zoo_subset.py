"""Some of the zoo: one model of each way to be built. All of it runs with ``make zoo``."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

from .catalog import Entry, entries, find
from .check import Failed, Row, check, half
from .packages import installed
from .reference import NormsOfTheRest, distance, places, zeroed
from .table import write

pytestmark = pytest.mark.filterwarnings("ignore")

OWN = ["densenet", "shufflenet", "inception", "u-net", "gqa", "res2net", "grouped", "odd", "tied"]
TRANSFORMERS = ["albert", "bart", "clip", "convnext", "deberta-v2", "fnet", "gpt2", "llama", "mamba", "opt", "resnet", "vit"]
ALIKE = ["beit", "bert", "bloom", "distilbert", "falcon", "gemma", "gpt_neox", "mobilebert", "phi3", "qwen3", "roformer", "xlnet"]


@pytest.mark.parametrize("name", OWN)
def test_own(name: str) -> None:
    passes(f"own/{name}")


@pytest.mark.skipif(installed("transformers") is None, reason="Transformers is not installed")
@pytest.mark.parametrize("name", [*TRANSFORMERS, *(pytest.param(n, marks=pytest.mark.slow) for n in ALIKE)])
def test_transformers(name: str) -> None:
    passes(f"transformers/{name}")


@pytest.mark.skipif(installed("transformers") is None, reason="Transformers is not installed")
@pytest.mark.parametrize("name", ["bert", "convnextv2", "llama"])
def test_over_norms(name: str) -> None:
    passes(f"transformers/{name}", narrow_norms=True)


def passes(name: str, **options: bool) -> None:
    (entry,) = find([name])
    row = check(entry, **options)
    assert row.verdict == "pass", row
    assert row.macs is not None
    assert row.macs < 0.95, row


class Shifted(nn.Module):
    """Whatever is done to it, one of its numbers depends on how wide it is."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.relu(self.up(x))) * len(self.up.weight)


def test_the_reference_is_not_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong cut that the library calls right is found: the harness can fail."""
    import types

    import secateur as sc
    from secateur.graph.groups import find_groups

    def careless(model: nn.Module, x: object, plan: dict[str, list[int]], **_: object) -> object:
        keep = [u for u in range(find_groups(model, x)["up"].units) if u not in plan["up"]]  # type: ignore[arg-type]
        model.up.weight, model.up.bias = nn.Parameter(model.up.weight[keep]), nn.Parameter(model.up.bias[keep])
        model.down.weight = nn.Parameter(model.down.weight[:, keep])
        model.up.out_features = model.down.in_features = len(keep)
        return types.SimpleNamespace(cut={"up": len(plan["up"])}, kept={}, macs=(2, 1), params=(2, 1))

    monkeypatch.setattr(sc, "shrink_", careless, raising=False)
    row = check(Entry("own", "shifted", Shifted, lambda _, n, s: torch.randn(n, 6, generator=torch.Generator().manual_seed(s))))
    assert row.verdict == "wrong", row


def test_an_output_that_ignores_its_input_passes_nothing() -> None:
    class Deaf(Shifted):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * 0)

    row = check(Entry("own", "deaf", Deaf, lambda _, n, s: torch.randn(n, 6, generator=torch.Generator().manual_seed(s))))
    assert row.verdict == "insensitive"


def test_norms_of_the_rest() -> None:
    """With zeroed channels, norms average over the others: as the smaller norm does."""

    class Norms(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.LayerNorm(n), nn.RMSNorm(n), nn.GroupNorm(2, n)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.b(self.a(x) * 2)
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)
            return self.c(x)

    large, small, keep = Norms(8), Norms(4), [0, 2, 5, 7]
    gone = sorted(set(range(8)) - set(keep))
    x = torch.randn(3, 8)
    with torch.no_grad():
        for name, p in large.named_parameters():
            small.get_parameter(name).copy_(p.normal_()[keep])
        where = {(name, 0): gone for name, _ in large.named_parameters()}
        x[:, gone] = 0
        masked, mode = zeroed(large, where), NormsOfTheRest(where, large)
        with mode.of(masked):
            found = masked(x)
        torch.testing.assert_close(found[:, keep], small(x[:, keep]))
        assert not found[:, gone].any()


def test_half_takes_heads_and_not_the_positions_inside_them() -> None:
    from secateur.graph.groups import find_groups

    (entry,) = find(["own/gpt"])
    model = entry.build()
    groups = find_groups(model, entry.inputs(model, 2, 0))
    plan = half(model, groups)
    for name in plan:
        assert not set(groups[name].crosses) & plan.keys()
        assert len(plan[name]) == groups[name].units // 2
    assert places(groups, plan)


def test_distance() -> None:
    a = torch.tensor([1.0, float("-inf"), 2.0])
    assert distance([a], [a]) == 0
    assert distance([a, torch.tensor([1e-9])], [a, torch.tensor([0.0])]) < 1e-5  # small beside the others
    assert distance([a], [a + 1]) > 0.1
    assert distance([a[:2]], [a]) == float("inf")
    assert distance([torch.tensor([float("nan")])], [torch.ones(1)]) == float("inf")
    assert distance([torch.tensor([1.0, 0.0, 2.0])], [a]) == float("inf")


def test_entries_have_names_of_their_own() -> None:
    known = [str(e) for e in entries()]
    assert len(set(known)) == len(known)
    if installed("transformers"):
        assert sum(n.startswith("transformers/") for n in known) >= 100


def test_a_step_that_fails_is_a_verdict() -> None:
    assert Failed("wrong", "a\n  b").detail == "a b"
    assert Row("own", "x").verdict == "?"


def test_the_result_files(tmp_path: Path) -> None:
    rows = [
        Row("timm", "a", "pass", macs=0.25, seconds=1.0, verdict_tp="broken"),
        Row("timm", "b", "untraceable", "forward_x | <branches>", verdict_tp="pass"),
        Row("transformers", "c", "wrong", seconds=2.0),
    ]
    write(rows, tmp_path, seed=0)
    about = json.loads((tmp_path / "zoo.json").read_text())
    assert about["figures"]["timm"]["pass rate"] == 0.5
    assert about["holds"]["none is silently wrong"] is False
    assert (tmp_path / "zoo.csv").read_text().count("\n") == 4
    page = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "zoo_page.py"))["page"](tmp_path)
    assert "forward\\_x \\| &lt;branches>" in page
    assert "| timm | 2 | 1 (50%) |" in page
