"""The shipped checks catch what they are for: a broken plugin for every law."""

from __future__ import annotations

import dataclasses as dc
from typing import ClassVar

import pytest
import torch

from secateur import testing
from secateur.allocation import Allocation
from secateur.core import component as registry
from secateur.core.component import choices, component, param
from secateur.core.select import keep_largest
from secateur.recovery import Recovery, Rewind
from secateur.schedule import OneShot
from secateur.score import Score
from secateur.structure import NM, Filters, Weights


@pytest.fixture
def plugin(monkeypatch):
    """Registers classes for one test."""
    monkeypatch.setattr(registry, "_REGISTRY", {axis: dict(known) for axis, known in registry._REGISTRY.items()})


def at_the_top(cls):
    """As a class a module defines at its top level, so that it pickles."""
    cls.__qualname__ = cls.__name__
    globals()[cls.__name__] = cls
    return component(cls)


def documented(cls):
    made = at_the_top(cls)
    args = "".join(f"    {f.name}: said.\n" for f in dc.fields(made))
    made.__doc__ = f"A plugin.\n\nArgs:\n{args}\nExample:\n    >>> 1 + 1\n    2\n"
    return made


def refused(check, cls, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(cls)


def test_a_plugin_of_one_class_conforms(plugin):
    @documented
    class Square(Score):
        def __call__(self, weight, statistics):
            return weight.square()

    testing.check_score(Square)
    assert choices("score")["square"] is Square


def test_scores_that_break_a_law(plugin):
    @documented
    class Noisy(Score):
        def __call__(self, weight, statistics):
            return torch.rand(weight.shape)

    @documented
    class InPlace(Score):
        def __call__(self, weight, statistics):
            return weight.abs_()

    @documented
    class Greedy(Score):
        needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

        def __call__(self, weight, statistics):
            return weight.abs()

    @documented
    class Thresholded(Score):
        def __call__(self, weight, statistics):
            return (weight.abs() - 1).abs()

    refused(testing.check_score, Noisy, "answers otherwise when asked again")
    refused(testing.check_score, InPlace, "changes the weights")
    refused(testing.check_score, Greedy, "needs .* and does without|takes none")
    refused(testing.check_score, Thresholded, "quadruple")
    testing.check_score(Thresholded, scale_invariant=False)


def test_structures_that_break_a_law(plugin):
    @documented
    class Undead(Weights):
        def units(self, scores, mask):
            return scores

    @documented
    class Overlapping(Filters):
        def spread(self, keep, shape):
            mask = super().spread(keep, shape)
            mask[0] |= bool(keep.any())
            return mask

    refused(testing.check_structure, Undead, "−inf")
    refused(testing.check_structure, Overlapping, "weights among units of|no unit or to more than one")
    refused(lambda s: testing.check_structure(s, shapes=[(3, 5)]), NM(n=2, m=4), "fits none")


def test_allocations_that_break_a_law(plugin):
    @documented
    class Worst(Allocation):
        def __call__(self, layers, sparsity, final):
            return {x.name: keep_largest([lambda x=x: -x.score()], x.units - round(sparsity * x.units))[0] for x in layers}

    @documented
    class Timid(Allocation):
        def __call__(self, layers, sparsity, final):
            return {x.name: x.score() > -1 for x in layers}

    refused(testing.check_allocation, Worst, "best units|gone")
    refused(testing.check_allocation, Timid, "counts are exact")


def test_schedules_that_break_a_law(plugin):
    @documented
    class Sinking(OneShot):
        def at_round(self, r):
            return {1: 0.9, 2: self.sparsity}.get(r)

    @documented
    class Short(OneShot):
        def at_step(self, t):
            return self.sparsity / 2 if t == 1 else None

    refused(testing.check_schedule, Sinking, "goes down")
    refused(testing.check_schedule, Short, "ends its steps at 0.15")


def test_recoveries_that_break_a_law(plugin):
    @documented
    class Unseeded(Recovery):
        def restore(self, model, snapshot):
            for p in model.parameters():
                torch.nn.init.normal_(p)

    @documented
    class Destructive(Rewind):
        def restore(self, model, snapshot):
            for v in snapshot.values():
                v.zero_()

    refused(testing.check_recovery, Unseeded, "seed its draw")
    refused(testing.check_recovery, Destructive, "changes the snapshot")


def test_components_that_break_a_law(plugin):
    class Mutable(Score):
        """No decorator."""

        def __call__(self, weight, statistics):
            return weight

    @at_the_top
    class Silent(Score):
        def __call__(self, weight, statistics):
            return weight

    @at_the_top
    class Unchecked(Score):
        """Not checked.

        Args:
            p: a number.

        Example:
            >>> 1
            1
        """

        p: float = param(default=1.0, gt=0)

        def __post_init__(self):
            pass

        def __call__(self, weight, statistics):
            return weight

    @documented
    class Impostor(Score):
        def to_dict(self, *, minimal=False):
            return {"name": "magnitude"}

        def __call__(self, weight, statistics):
            return weight

    @component
    class Local(Score):
        def __call__(self, weight, statistics):
            return weight

    refused(testing.check_component, Mutable, "can be changed")
    refused(testing.check_component, Impostor, "does not come back from a dict")
    refused(testing.check_component, Local, "cannot be pickled")
    refused(testing.check_component, Silent, "docstring")
    refused(testing.check_component, Unchecked, "accepts p=")
    refused(testing.check_score, Weights, "is no Score")
