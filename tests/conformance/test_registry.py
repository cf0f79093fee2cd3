"""Every registered choice passes the checks that plugin authors get, and the checks catch what they are for."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from secateur import testing
from secateur.allocation import Allocation, PerLayer, StdThreshold
from secateur.core import component as registry
from secateur.core.component import AXES, choices, component, param
from secateur.recovery import Finetune, Recovery, Reinitialize, Rewind
from secateur.schedule import Cubic, Iterative, OneShot, Polynomial, Schedule
from secateur.score import Magnitude, Random, Score
from secateur.structure import NM, Blocks, Filters, Kernels, Structure, Weights

ALL = [(axis, cls) for axis in AXES for cls in choices(axis).values()]
VARIANTS = [
    Blocks(shape=(2, 2), reduce="sum"), Blocks(shape=(1, 4), reduce="max"), Kernels(reduce="max"), Filters(reduce="sum"),
    NM(n=1, m=4), NM(n=4, m=8), Magnitude(p=2), Random(seed=7), PerLayer(sparsity={"conv*": 0.5}, other=0.25),
    StdThreshold(of="all"), StdThreshold(quality=0.7), OneShot(sparsity=0.8, at_training_step=12), Iterative(rounds=7, rate=0.4),
    Polynomial(sparsity=0.8, initial=0.1, begin=3, end=103, every=10, power=1), Cubic(sparsity=0.95, begin=0, end=7, every=1),
    Finetune(epochs=1, adjust_dropout=True, drop_dead=True), Rewind(to=3), Reinitialize(seed=4),
]  # fmt: skip


@pytest.mark.parametrize(("axis", "cls"), ALL, ids=[f"{a}-{c.name}" for a, c in ALL])
def test_every_choice_conforms(axis, cls):
    getattr(testing, f"check_{axis}")(cls)


@pytest.mark.parametrize("made", VARIANTS, ids=repr)
def test_and_so_do_its_variants(made):
    getattr(testing, f"check_{made.axis}")(made)


@pytest.fixture
def plugin(monkeypatch):
    """Registers classes for one test."""
    monkeypatch.setattr(registry, "_REGISTRY", {axis: dict(known) for axis, known in registry._REGISTRY.items()})


def documented(cls):
    cls.__doc__ = "A plugin.\n\nExample:\n    >>> 1 + 1\n    2\n"
    return component(cls)


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
    refused(lambda s: testing.check_structure(s, shapes=[(3, 5)]), Structure.__subclasses__() and NM(n=2, m=4), "fits none")


def test_allocations_that_break_a_law(plugin):
    @documented
    class Worst(Allocation):
        def __call__(self, layers, sparsity, final):
            from secateur.core.select import keep_largest

            return {
                x.name: keep_largest([lambda x=x: -x.score()], x.units - round(sparsity * x.units))[0] for x in layers
            }

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

    assert issubclass(Sinking, Schedule)
    Sinking.__doc__ = Short.__doc__ = OneShot.__doc__
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

    Destructive.__doc__ = Rewind.__doc__
    refused(testing.check_recovery, Unseeded, "seed its draw")
    refused(testing.check_recovery, Destructive, "changes the snapshot")


def test_components_that_break_a_law(plugin):
    class Mutable(Score):
        """No decorator."""

        def __call__(self, weight, statistics):
            return weight

    @component
    class Silent(Score):
        def __call__(self, weight, statistics):
            return weight

    @component
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

    refused(testing.check_component, Mutable, "@component")
    refused(testing.check_component, Silent, "docstring")
    refused(testing.check_component, Unchecked, "accepts p=")
    refused(testing.check_score, Weights, "is no Score")
