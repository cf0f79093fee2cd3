"""What holds of every structure."""

from __future__ import annotations

import dataclasses as dc
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..allocation import Uniform
from ..core.errors import ModelError
from ..core.layers import Target
from ..core.select import count_removed, keep_largest
from ..prune import prune_
from ..pruner import Pruner
from ..recipe import Recipe
from ..schedule import OneShot
from ..structure import Coupled, Structure
from .claim import claim, instance, same_ranking
from .component import check_component
from .model import SmallAttention, small_batches, small_model

__all__ = ["check_structure"]

_SHAPES = ((8, 8), (16, 4), (8, 4, 3, 3))


def check_structure(
    given: type[Structure] | Structure, *, shapes: Sequence[tuple[int, ...]] = _SHAPES, scale_invariant: bool = True
) -> None:
    """Units partition the weights, the dead stay dead, masks nest, counts are exact in every dtype; coupled ones reach far.

    Args:
        given: the structure, or its class.
        shapes: weights to try, output dimension first; those that do not fit are passed over.
        scale_invariant: whether multiplying all scores by a constant must leave the ranking of units alone.

    Raises:
        AssertionError: a sentence that says what does not hold.

    Example:
        >>> from secateur.structure import Blocks
        >>> check_structure(Blocks(shape=(2, 2)))
    """
    structure = instance(given, Structure)
    check_component(structure)
    if isinstance(structure, Coupled):
        _check_coupled(structure)
    if not structure.alone:
        return
    claim(0 < structure.max_sparsity <= 1, structure, f"has max_sparsity {structure.max_sparsity}; it is in (0, 1]")
    fitting = [s for s in shapes if structure.misfit(Target(name="w", shape=s, kernel=len(s) > 2)) is None]
    claim(fitting, structure, f"fits none of the shapes {list(shapes)}; give others with shapes=")
    for shape in fitting:
        for dtype in (torch.float32, torch.float64):
            scores = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
            _check_units(structure, scores, scale_invariant)
            _check_partition(structure, scores)
            _check_nested(structure, scores)
    if set(shapes) >= set(_SHAPES):
        _check_model(structure)


def _check_coupled(structure: Coupled) -> None:
    """Half of each group goes, and what makes, carries or reads a unit with it."""
    fitted = False
    for make in (small_model, SmallAttention):
        model = make().eval()
        recipe = Recipe(structure=dc.replace(structure, round_to=1), allocation=Uniform())
        try:
            pruner = Pruner(model, recipe, example_inputs=small_batches(1)[0][0])
        except ModelError:
            continue
        fitted, gone = True, dict[str, list[int]]()
        for sparsity in (0.25, 0.5):
            plan = pruner.prune(sparsity).plan
            for name, group in pruner.targets.items():
                found, wanted = len(plan.get(name, ())), count_removed(sparsity, group.units)
                claim(found == wanted, structure, f"removes {found} of {group.units} units of {name!r}, not {wanted}")
                claim(set(gone.get(name, ())) <= set(plan.get(name, ())), structure, "brings back what was gone")
            gone = plan
        for name, mask in pruner.masks.items():
            claim(not bool(model.get_parameter(name)[~mask].any()), structure, f"leaves masked weights of {name!r}")
    claim(fitted, structure, "fits neither small_model() nor SmallAttention()")


def _check_units(structure: Structure, scores: Tensor, scale_invariant: bool) -> None:
    units = structure.units(scores, None)
    again = structure.units(scores.transpose(0, 1).contiguous().transpose(0, 1), None)
    claim(units.dtype == scores.dtype, structure, f"turns scores of {scores.dtype} into {units.dtype}")
    claim(torch.allclose(units, again), structure, "gives other units for the same scores laid out otherwise in memory")
    counted = structure.count(tuple(scores.shape))
    claim(counted == units.numel(), structure, f"counts {counted} units where it makes {units.numel()}")
    if scale_invariant:
        claim(
            same_ranking(units, structure.units(scores * 4, None)), structure, "ranks units otherwise when all scores grow alike"
        )


def _check_partition(structure: Structure, scores: Tensor) -> None:
    units, shape = structure.units(scores, None), tuple(scores.shape)
    size = scores.numel() // units.numel()
    owners = torch.zeros(shape, dtype=torch.int64)
    for i in range(units.numel()):
        keep = torch.zeros(units.numel(), dtype=torch.bool)
        keep[i] = True
        mask = structure.spread(keep.view(units.shape), shape)
        claim(
            mask.shape == scores.shape and mask.dtype == torch.bool, structure, "does not spread to a boolean mask of the shape"
        )
        claim(int(mask.sum()) == size, structure, f"has a unit of {int(mask.sum())} weights among units of {size}")
        owners += mask
    claim(bool((owners == 1).all()), structure, "has a weight that belongs to no unit or to more than one")


def _check_nested(structure: Structure, scores: Tensor) -> None:
    shape = tuple(scores.shape)
    total = structure.count(shape)
    mask: Tensor | None = None
    for share in (0.0, 0.25, 0.6, 1.0):
        removed = count_removed(share * structure.max_sparsity, total)
        units = structure.units(scores, mask)
        keep = keep_largest([lambda units=units: units], total - removed)[0]  # type: ignore[misc]
        found = structure.spread(keep, shape)
        claim(mask is None or not bool((found & ~mask).any()), structure, "brings back what was gone: dead units get −inf")
        kept, size = int(found.sum()), scores.numel() // total
        claim(kept == (total - removed) * size, structure, f"keeps {kept} weights, not {total - removed} units of {size}")
        mask = found
        after = structure.units(scores, mask)
        claim(torch.equal(after == -math.inf, ~keep), structure, "does not give −inf to the units that are gone, and only those")


def _check_model(structure: Structure) -> None:
    sparsity = structure.max_sparsity / 2
    recipe = Recipe(structure=structure, allocation=Uniform(), schedule=OneShot(sparsity=sparsity))
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        model = small_model().to(dtype)
        for name, target in prune_(model, recipe).targets.items():
            weight, units = model.get_parameter(name), structure.count(target.shape)
            gone, wanted = int((weight == 0).sum()), count_removed(sparsity, units) * (weight.numel() // units)
            claim(gone == wanted, structure, f"removes {gone} weights of {name!r} in {dtype}, not {wanted}")
