"""Cutting removed units out of the user's own module, checked to compute the same."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterable, Mapping
from typing import Literal, overload

import numpy as np
from torch import fx, nn

from ..core.errors import ModelError
from .analysis import Analysis, Removed, analyse
from .branches import LAYERS, additions, find_branches
from .cut import as_before_on_failure
from .groups import Groups
from .report import Shrunk
from .shrinking import Shrinking
from .skip import skip_dead_, zero_
from .trace import ExampleInputs, plain_inputs, unwrap

__all__ = ["Shrinking", "Shrunk", "shrink_"]


@overload
def shrink_(
    model: nn.Module, example_inputs: ExampleInputs, plan: Removed | None = None, *, as_graph: Literal[False] = False,
    narrow_norms: bool = False,
) -> Shrunk: ...  # fmt: skip
@overload
def shrink_(
    model: nn.Module, example_inputs: ExampleInputs, plan: Removed | None = None, *, as_graph: Literal[True],
    narrow_norms: bool = False,
) -> fx.GraphModule: ...  # fmt: skip
def shrink_(
    model: nn.Module,
    example_inputs: ExampleInputs,
    plan: Removed | None = None,
    *,
    as_graph: bool = False,
    narrow_norms: bool = False,
) -> Shrunk | fx.GraphModule:
    """Cut pruned units out of a model, in place: its class, ``forward`` and parameter names stay, its tensors get smaller.

    Parameters, buffers and the Python integers that depend on them are changed. The masked model and the smaller one are
    then run in double precision, on the example inputs and on a batch of another size; what does not come out the same
    (relative difference below 1e-10) is put back, with the reason. Optimizers must be made anew.

    Args:
        model: any module that ``torch.export`` can trace.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        plan: group name → units to remove, as ``pruner.plan``, and under ``"layers"`` residual branches by number; None
            removes every unit whose weights are zero, and folds what is constant of it into the next layer's bias.
        as_graph: leave the model alone and return a traced ``GraphModule`` of the smaller one, for a forward that holds
            sizes the smaller model cannot have.
        narrow_norms: also remove units over which a normalisation takes its mean or variance; these are then over the
            units that are left, in the masked model too.

    Returns:
        What was cut, what stayed and why; prints as a table. With ``as_graph`` the smaller model.

    Raises:
        ModelError: the model cannot be traced; the plan names groups or units that are not there; the output does not
            depend on the input, so that nothing can be checked.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> shrunk = shrink_(mlp, torch.randn(2, 4), {"0": [1, 2, 5]})
        >>> mlp[0], mlp[2].weight.shape, shrunk.error < 1e-10
        (Linear(in_features=4, out_features=5, bias=True), torch.Size([2, 5]), True)
    """
    model, example_inputs = unwrap(model), plain_inputs(example_inputs)
    if as_graph:
        from .regraph import smaller_graph

        return smaller_graph(model, example_inputs, plan, narrow_norms=narrow_norms)
    analysis = analyse(model, example_inputs)
    before = analysis.macs({}), analysis.params({})
    wanted = None if plan is None else analysis.units({n: u for n, u in plan.items() if n != LAYERS})
    with as_before_on_failure(model):
        skipped = _skip(model, example_inputs, analysis, (plan or {}).get(LAYERS, ()))
        if skipped:
            whole, analysis = analysis.groups, analyse(model, example_inputs)
            wanted = None if wanted is None else _found_again(wanted, whole, analysis.groups)
        shrunk = Shrinking(model, example_inputs, analysis, wanted, narrow_norms).run()
    return dc.replace(shrunk, skipped=tuple(skipped), macs=(before[0], shrunk.macs[1]), params=(before[1], shrunk.params[1]))


def _found_again(wanted: Mapping[str, np.ndarray], whole: Groups, groups: Groups) -> dict[str, np.ndarray]:
    """Units by the names and numbers they have after some blocks are gone; those inside these blocks are gone with them."""
    places: dict[tuple[str, int, tuple[int, ...]], tuple[str, int]] = {}
    for g in groups:
        for m in g.members:
            places |= {(m.parameter, m.dim, tuple(m.of(u))): (g.name, u) for u in range(g.units)}
    found: dict[str, set[int]] = {}
    for name, units in wanted.items():
        for u in units.tolist():
            now = (places.get((m.parameter, m.dim, tuple(m.of(u)))) for m in whole[name].members)
            group, unit = next((p for p in now if p is not None), ("", 0))
            if group and groups[group].prunable:
                found.setdefault(group, set()).add(unit)
    return {name: np.array(sorted(units)) for name, units in found.items()}


def _skip(model: nn.Module, example_inputs: ExampleInputs, analysis: Analysis, branches: Iterable[int]) -> list[str]:
    """Take out blocks that are, or are asked to become, the identity."""
    chosen = np.asarray(branches, dtype=np.int64).tolist()
    if chosen:
        known = find_branches(model, example_inputs, analysis)
        if not all(0 <= k < len(known) for k in chosen):
            raise ModelError(f"the model has {len(known)} residual branches; the plan removes {chosen}")
        zero_(model, [known[k] for k in chosen])
    return skip_dead_(model, example_inputs, additions(analysis))
