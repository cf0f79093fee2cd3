"""One model through all steps, and the verdict."""

from __future__ import annotations

import copy
import dataclasses as dc
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import secateur as sc
from secateur.core.errors import ModelError
from secateur.graph.groups import Group, Groups, find_groups
from secateur.graph.trace import call

from .catalog import Entry
from .double import InDouble, double_copy, in_double
from .liven import liven_
from .reference import NormsOfTheRest, distance, outputs, places, zeroed

TOLERANCE = 1e-10
SENSITIVE = 1e-6
BATCHES = ((2, 11), (3, 12))  # sizes and seeds


@dc.dataclass
class Row:
    """What is known about one model: a line of the table.

    Args:
        verdict: ``pass``, or the first step that was not passed.
        detail: more about a verdict that is not ``pass``.
        macs, params: what is left of them, as a fraction.
        held: what was not pruned, and why.
        error: relative error between the shrunken and the masked model, the larger of two batch sizes.
        sensitivity: how much the output of the shrunken model depends on its input, relative.
        seconds: of finding groups and shrinking.
        verdict_narrow, detail_narrow, macs_narrow, params_narrow: the same where norms average over what is left.
        verdict_tp, detail_tp, macs_tp, params_tp, seconds_tp: the same of Torch-Pruning.
        total: seconds of everything.
    """

    library: str
    model: str
    verdict: str = "?"
    detail: str = ""
    macs: float | None = None
    params: float | None = None
    held: str = ""
    error: float | None = None
    sensitivity: float | None = None
    seconds: float | None = None
    verdict_narrow: str = ""
    detail_narrow: str = ""
    macs_narrow: float | None = None
    params_narrow: float | None = None
    verdict_tp: str = ""
    detail_tp: str = ""
    macs_tp: float | None = None
    params_tp: float | None = None
    seconds_tp: float | None = None
    total: float | None = None


class Failed(Exception):
    """A step that was not passed: the verdict, and more about it."""

    def __init__(self, verdict: str, detail: str = "") -> None:
        super().__init__(verdict)
        self.verdict, self.detail = verdict, " ".join(detail.split())[:300]


def step(verdict: str, f: Callable[[], Any]) -> Any:
    """The result of a step; whatever it raises is a verdict."""
    try:
        return f()
    except Failed:
        raise
    except Exception as e:
        raise Failed(verdict, f"{type(e).__name__}: {e}") from e


# ------------------------------------------------------------------------------------------------ the model


def dense(entry: Entry, seed: int = 0) -> nn.Module:
    """The model with weights that let a signal pass, in evaluation mode."""
    torch.manual_seed(seed)
    lively = entry.build()
    liven_(lively, [entry.inputs(lively, 4, s) for s in (1, 2)], run)
    torch.manual_seed(seed)
    model = entry.build().eval()  # one that has not run yet: some keep what they computed
    model.load_state_dict(lively.state_dict())
    return model


def inputs(entry: Entry, model: nn.Module) -> list[Any]:
    """Example inputs of two batch sizes."""
    return [entry.inputs(model, batch, seed) for batch, seed in BATCHES]


def run(model: nn.Module, x: Any) -> list[Tensor]:
    """The outputs in double precision; a model that draws random numbers draws the same ones each time."""
    torch.manual_seed(3)
    with torch.no_grad(), InDouble():
        return outputs(call(model, pytree.tree_map(in_double, x)))


def sensitivity(entry: Entry, model: nn.Module) -> float:
    """How much the output of a model in double precision changes with the input, relative."""
    a, b = (run(model, entry.inputs(model, 2, seed)) for seed in (21, 22))
    return distance(a, b) if [x.shape for x in a] == [x.shape for x in b] else 1.0


# ------------------------------------------------------------------------------------------------ what to cut


def half(model: nn.Module, groups: Groups, *, narrow_norms: bool = False) -> dict[str, list[int]]:
    """Half of the units of every group that can be pruned: those of the smallest norm.

    Where two groups share indices, the one whose units are wider is cut: heads, and not the positions inside them.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    units: dict[str, list[int]] = {}
    for group in sorted(groups.prunable, key=lambda g: -max(m.each for m in g.members)):
        if group.units < 2 or set(group.crosses) & units.keys() or (group.statistics and not narrow_norms):
            continue
        order = sorted(range(group.units), key=norms(tensors, group).__getitem__)
        units[group.name] = sorted(order[: group.units // 2])
    return units


def norms(tensors: dict[str, Tensor], group: Group) -> list[float]:
    """The sum of squares of all that a unit owns in parameters."""
    total = torch.zeros(group.units, dtype=torch.float64)
    for m in group.members:
        t = tensors[m.parameter]
        if not t.is_floating_point():
            continue
        each = t.detach().double().square().movedim(m.dim, 0).reshape(t.shape[m.dim], -1).sum(1)
        owner = torch.repeat_interleave(torch.arange(group.units), torch.from_numpy(m.starts).diff())
        total.index_add_(0, owner, each[torch.from_numpy(m.indices)])
    return total.tolist()


def held(groups: Groups, kept: dict[str, str], most: int = 4) -> str:
    """What was not pruned and why, most frequent first."""
    ordinary = ("an output of the model", "size of dimension", "a single unit", "forward does not use it", "rows of a table")
    reasons = [g.reason for g in groups if g.reason and not g.reason.startswith(ordinary)]
    reasons += [f"averaged over by {g.statistics[0]}" for g in groups.prunable if g.statistics] + list(kept.values())
    count = Counter(" ".join(r.split())[:120] for r in reasons)
    unknown = dict.fromkeys(name for name, _ in groups.unknown)
    texts = [f"no rule: {', '.join(unknown)}"] if unknown else []
    return "; ".join(texts + [f"{n} x {reason}" for reason, n in count.most_common(most)])


# ------------------------------------------------------------------------------------------------ the steps


def check(entry: Entry, *, narrow_norms: bool = False, load: Callable[..., list[Tensor]] | None = None) -> Row:
    """All steps with this library.

    Args:
        entry: the model.
        narrow_norms: cut over norms too.
        load: loads a file and runs the model on inputs, in a new process; by default in this one.
    """
    row = Row(entry.library, entry.name)
    started = time.perf_counter()
    try:
        _steps(entry, row, narrow_norms, load or loaded)
        row.verdict = "pass"
    except Failed as e:
        row.verdict, row.detail = e.verdict, e.detail
    row.total = time.perf_counter() - started
    return row


def _steps(entry: Entry, row: Row, narrow_norms: bool, load: Callable[..., list[Tensor]]) -> None:
    model = step("does not run", lambda: dense(entry))
    examples = step("does not run", lambda: inputs(entry, model))
    original = double_copy(model)
    step("does not run", lambda: [run(original, x) for x in examples])
    dependence = step("does not run", lambda: sensitivity(entry, original))
    if dependence < SENSITIVE:
        raise Failed("insensitive", f"{dependence:.1e}")
    keys, kind = list(model.state_dict()), type(model)
    started = time.perf_counter()
    groups = step("untraceable", lambda: find_groups(model, examples[0]))
    row.seconds = time.perf_counter() - started
    row.held = held(groups, {})
    plan = half(model, groups, narrow_norms=narrow_norms)
    if not plan:
        raise Failed("nothing to cut", row.held)
    started = time.perf_counter()
    try:
        shrunk = sc.shrink_(model, examples[0], plan=plan, narrow_norms=narrow_norms)
    except ModelError as e:
        raise Failed("refused", str(e)) from e
    except Exception as e:
        raise Failed("error", f"{type(e).__name__}: {e}") from e
    row.seconds += time.perf_counter() - started
    row.macs, row.params = shrunk.macs[1] / max(shrunk.macs[0], 1), shrunk.params[1] / max(shrunk.params[0], 1)
    row.held = held(groups, dict(shrunk.kept))
    done = {name: units[-n:] for name, units in plan.items() if (n := shrunk.cut.get(name, 0))}
    if not done:
        raise Failed("nothing cut", row.held)
    where = places(groups, done)
    small = double_copy(model)
    mode = NormsOfTheRest(where, original) if narrow_norms else None
    row.error = equal(small, zeroed(original, where), examples, mode)
    row.sensitivity = step("insensitive", lambda: sensitivity(entry, small))
    if row.sensitivity < SENSITIVE:
        raise Failed("insensitive", f"{row.sensitivity:.1e}")
    if list(model.state_dict()) != keys or type(model) is not kind:
        raise Failed("changed", "class or names of the state dict are not as they were")
    step("no gradient", lambda: gradients(copy.deepcopy(model), examples[0]))
    round_trip(entry, model, examples[0], load)


def equal(small: nn.Module, twin: nn.Module, examples: Sequence[Any], mode: NormsOfTheRest | None = None) -> float:
    """The largest error between a shrunken model and the masked one, over the batch sizes."""
    worst = 0.0
    for k, x in enumerate(examples):
        what = "broken" if k == 0 else "broken at another batch size"
        few = step(what, lambda x=x: run(small, x))
        with mode.of(twin) if mode else nullcontext():
            many = step("no reference", lambda x=x: run(twin, x))
        error = distance(few, many)
        if not error < TOLERANCE:
            shapes = "" if [a.shape for a in few] == [b.shape for b in many] else ", another shape"
            raise Failed("wrong", f"relative error {error:.1e}{shapes}, batch {BATCHES[k][0]}")
        worst = max(worst, error)
    return worst


def gradients(model: nn.Module, x: Any) -> None:
    """Every parameter gets a finite gradient, or none; some get one."""
    torch.manual_seed(3)
    model.zero_grad()
    tensors = [t for t in outputs(call(model, x)) if t.requires_grad]
    sum(torch.where(t.isfinite() & (t.abs() < 1e30), t, 0).sum() for t in tensors).backward()  # type: ignore[union-attr]
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    if not any(bool(g.any()) for g in grads.values()):
        raise Failed("no gradient", "all gradients are zero")
    bad = [n for n, g in grads.items() if not bool(g.isfinite().all())]
    if bad:
        raise Failed("no gradient", f"not finite: {', '.join(bad[:3])}")


def round_trip(entry: Entry, model: nn.Module, x: Any, load: Callable[..., list[Tensor]]) -> None:
    """Saved, loaded into the dense constructor's model, run again: the same outputs."""
    before = run(double_copy(model), x)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        step("not saved", lambda: sc.save(model, file))
        after = step("not loaded", lambda: load(entry, file, x))
    error = distance(after, before)
    if not error < TOLERANCE:
        raise Failed("loaded another", f"relative error {error:.1e}")


def loaded(entry: Entry, file: Path, x: Any) -> list[Tensor]:
    """The outputs of a saved model, put into a newly built dense one."""
    torch.manual_seed(99)
    model = sc.load(file, entry.build().eval())
    assert isinstance(model, nn.Module)
    return run(model.double(), x)
