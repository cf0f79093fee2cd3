"""What a choice of units would leave of a model, before anything is removed."""

from __future__ import annotations

import copy
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from ..core.errors import ModelError
from ..core.timing import compare_latency
from .base import Choice, Units
from .branches import BRANCHES, BranchUnits
from .coupled import GroupUnits
from .layerwise import LayerUnits

if TYPE_CHECKING:
    from ..graph.analysis import Analysis
    from ..graph.branches import Branch

__all__ = ["GroupMeter", "LayerMeter", "Meter"]


class Meter:
    """Counts ``params``, ``macs`` and ``bytes`` of what a choice leaves, and times its ``latency`` (ms)."""

    units: Units

    def measure(self, quantity: str, keep: Choice, device: str = "cpu") -> float:
        """How much a choice would leave.

        Args:
            quantity: ``params``, ``macs``, ``bytes`` or ``latency``.
            keep: the choice.
            device: where to time.
        """
        return float(self.latency(keep, device) if quantity == "latency" else getattr(self, quantity)(keep))

    def latency(self, keep: Choice, device: str) -> float:
        """Nothing, where nothing is cut."""
        raise ModelError(
            f"structure {self.units.recipe.structure.name!r} leaves a model of the same shapes, which runs no faster here; "
            "Latency needs units that are cut out: Filters(), Neurons() or Heads(), with example_inputs"
        )


class GroupMeter(Meter):
    """Of a model whose units are cut out.

    Args:
        units: its units.
        analysis: its analysis.
        example_inputs: what to time it on.
    """

    units: GroupUnits | BranchUnits

    def __init__(self, units: GroupUnits | BranchUnits, analysis: Analysis, example_inputs: Any) -> None:
        self.units = units
        self._analysis, self._inputs = analysis, example_inputs

    def __deepcopy__(self, memo: dict[int, Any]) -> GroupMeter:
        """The analysis is shared: it knows shapes and no weights."""
        return type(self)(copy.deepcopy(self.units, memo), self._analysis, self._inputs)

    def params(self, keep: Choice) -> int:
        """Parameters of the smaller model."""
        return self._analysis.params(self.units.plan(keep))

    def macs(self, keep: Choice) -> int:
        """Multiply-adds of one example."""
        return self._analysis.macs(self.units.plan(keep))

    def bytes(self, keep: Choice) -> int:
        """Bytes of parameters and buffers, each in its own type."""
        shapes = self._analysis.shapes(self.units.plan(keep))
        state = {**dict(self.units.model.named_parameters()), **dict(self.units.model.named_buffers())}
        return sum(t.element_size() * (prod(shapes[n]) if n in shapes else t.numel()) for n, t in state.items())

    def latency(self, keep: Choice, device: str) -> float:
        """Median milliseconds of a call of a copy that is cut."""
        from ..graph.trace import call

        try:
            small = self._small(keep)
        except ModelError:  # so narrow that nothing comes through, and equality proves nothing; the time is in the shapes
            small = self._shapes_alone(keep)
        small = small.eval().to(device)
        inputs = _moved(self._inputs, device)
        found = compare_latency({"small": lambda: call(small, inputs)}, seconds=0.2, device=device)
        return found.latencies["small"].median_ms

    def _small(self, keep: Choice) -> nn.Module:
        """A copy that is masked and cut."""
        from ..graph.shrink import shrink_

        small, plan = copy.deepcopy(self.units.model), self.units.plan(keep)
        with torch.no_grad():
            for name, mask in self.units.masks_for(keep).items():
                small.get_parameter(name).masked_fill_(~mask, 0)
        if plan:
            shrink_(small, self._inputs, plan=plan)
        return small

    def _shapes_alone(self, keep: Choice) -> nn.Module:
        """A copy cut without values, with some of the model's own values then."""
        from ..graph.shrink import shrink_

        small = copy.deepcopy(self.units.model).to("meta")
        shrink_(small, _moved(self._inputs, "meta"), plan=self.units.plan(keep))
        small = small.to_empty(device="cpu")
        state = {**dict(self.units.model.named_parameters()), **dict(self.units.model.named_buffers())}
        with torch.no_grad():
            for name, t in [*small.named_parameters(), *small.named_buffers()]:
                t.copy_(state[name][tuple(slice(n) for n in t.shape)])
        return small


class BranchMeter(GroupMeter):
    """Of a model whose residual branches leave it."""

    units: BranchUnits

    def _gone(self, keep: Choice) -> list[Branch]:
        return [self.units.branches[k] for k in self.units.plan(keep).get(BRANCHES, [])]

    def params(self, keep: Choice) -> int:
        """Parameters of the smaller model."""
        return self._analysis.params({}) - sum(self.units.parameter(p).numel() for b in self._gone(keep) for p in b.parameters)

    def macs(self, keep: Choice) -> int:
        """Multiply-adds of one example."""
        return self._analysis.macs({}) - sum(b.macs for b in self._gone(keep))

    def bytes(self, keep: Choice) -> int:
        """Bytes of parameters and buffers, those of norms inside a branch not counted off."""
        state = [*self.units.model.parameters(), *self.units.model.buffers()]
        gone = [self.units.parameter(p) for b in self._gone(keep) for p in b.parameters]
        return sum(t.element_size() * t.numel() for t in state) - sum(t.element_size() * t.numel() for t in gone)


def _moved(inputs: Any, device: str) -> Any:
    return pytree.tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, inputs)


class LayerMeter(Meter):
    """Of a model whose weights are zero where its units are gone.

    Args:
        units: its units.
        example_inputs: what to count multiply-adds on; None where that is not asked.
    """

    def __init__(self, units: LayerUnits, example_inputs: Any = None) -> None:
        self.units: LayerUnits = units
        self._inputs = example_inputs

    def params(self, keep: Choice) -> int:
        """Parameters that are not pruned."""
        return sum(self.units.left(keep).values())

    def macs(self, keep: Choice) -> float:
        """Multiply-adds of one example that meet a weight that is left."""
        left = self.units.left(keep)
        share = {n: left[n] / p.numel() for n, p in self.units.model.named_parameters() if p.numel()}
        return sum(macs * (1 if name is None else share[name]) for name, macs in self._dense_macs.items())

    @cached_property
    def _dense_macs(self) -> dict[str | None, float]:
        from .effective import macs_by_parameter

        if self._inputs is None:
            raise ModelError("counting multiply-adds needs an example: pass Pruner(model, recipe, example_inputs=...)")
        return macs_by_parameter(self.units.model, self._inputs)

    def bytes(self, keep: Choice) -> int:
        """Bytes of the file that ``save`` writes."""
        from ..codec import file_size

        masked: nn.Module = copy.deepcopy(self.units.model)
        with torch.no_grad():
            for name, mask in self.units.masks_for(keep).items():
                masked.get_parameter(name).masked_fill_(~mask, 0)
        return file_size(masked)
