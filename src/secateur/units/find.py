"""Which units a recipe removes from a model."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..core.errors import ModelError
from ..recipe import Recipe
from ..structure import Coupled, Layers
from .base import Units
from .branches import BranchUnits
from .coupled import GroupUnits
from .layerwise import LayerUnits
from .meter import BranchMeter, GroupMeter, LayerMeter, Meter

__all__ = ["find_units"]


def find_units(model: nn.Module, recipe: Recipe, example_inputs: Any = None) -> tuple[Units, Meter]:
    """The units of a model, and what counts what they leave.

    Args:
        model: any module.
        recipe: the recipe.
        example_inputs: what ``forward`` takes; with them, units of a structure that couples reach over layers.

    Raises:
        ModelError: nothing fits, or the structure needs example inputs.
    """
    structure = recipe.structure
    if isinstance(structure, Layers) and example_inputs is not None:
        from ..graph.analysis import analyse
        from ..graph.branches import find_branches

        analysis = analyse(model, example_inputs)
        branches = BranchUnits(model, recipe, find_branches(model, example_inputs, analysis))
        return branches, BranchMeter(branches, analysis, example_inputs)
    if structure.couples and example_inputs is not None:
        from ..graph.analysis import analyse

        analysis = analyse(model, example_inputs)
        groups = GroupUnits(model, recipe, analysis.groups)
        return groups, GroupMeter(groups, analysis, example_inputs)
    if not structure.alone:
        raise ModelError(
            f"the units of structure {structure.name!r} reach over several layers, and only a trace of the model tells which: "
            "pass Pruner(model, recipe, example_inputs=...)"
        )
    if isinstance(structure, Coupled) and structure.speaks_of_groups:
        raise ModelError(
            f"structure {structure.name!r} with {structure.speaks_of_groups} speaks of coupled groups, and only a trace of the "
            "model tells them: pass Pruner(model, recipe, example_inputs=...)"
        )
    layers = LayerUnits(model, recipe)
    return layers, LayerMeter(layers, example_inputs)
