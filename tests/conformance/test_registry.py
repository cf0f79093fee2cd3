"""Every registered choice passes the checks that plugin authors get."""

from __future__ import annotations

import pytest

from secateur import testing
from secateur.allocation import ERK, Global, PerLayer, StdThreshold, Threshold
from secateur.core.component import AXES, choices
from secateur.recovery import Finetune, KeepTraining, Reconstruct, Reinitialize, Rewind
from secateur.schedule import Cubic, Iterative, OneShot, Polynomial
from secateur.score import OBS, Grasp, HardConcrete, Magnitude, Random, SoftMovement, Taylor, VariationalDropout
from secateur.structure import NM, Blocks, Filters, Kernels

NEED = {"hard_concrete": {"examples": 100}, "variational_dropout": {"examples": 100}}  # what has no default
ALL = [(axis, cls) for axis in AXES for cls in choices(axis).values()]
VARIANTS = [
    Blocks(shape=(2, 2), reduce="sum"), Blocks(shape=(1, 4), reduce="max"), Kernels(reduce="max"), Filters(reduce="sum"),
    NM(n=1, m=4), NM(n=4, m=8), Magnitude(p=2), Random(seed=7), Taylor(signed=True),
    Grasp(temperature=1), OBS(damping=0.01), ERK(kernel=False), Global(floor=3), Reconstruct(damping=0, recalibrate=8),
    OneShot(sparsity=0.9, iterations=7),
    PerLayer(sparsity={"conv*": 0.5}, other=0.25),
    StdThreshold(of="all"), StdThreshold(quality=0.7), OneShot(sparsity=0.8, at_training_step=12), Iterative(rounds=7, rate=0.4),
    Polynomial(sparsity=0.8, initial=0.1, begin=3, end=103, every=10, power=1), Cubic(sparsity=0.95, begin=0, end=7, every=1),
    Finetune(epochs=1, adjust_dropout=True, drop_dead=True), Finetune(recalibrate=16),
    VariationalDropout(examples=9, kl=0.1, train_clip=True), HardConcrete(examples=9, l2=0.1), SoftMovement(ramp=5),
    Threshold(at=0.5), KeepTraining(recalibrate=9), Rewind(to=3), Reinitialize(seed=4),
]  # fmt: skip


@pytest.mark.parametrize(("axis", "cls"), ALL, ids=[f"{a}-{c.name}" for a, c in ALL])
def test_every_choice_conforms(axis, cls):
    getattr(testing, f"check_{axis}")(cls(**NEED.get(cls.name, {})))


@pytest.mark.parametrize("made", VARIANTS, ids=repr)
def test_and_so_do_its_variants(made):
    getattr(testing, f"check_{made.axis}")(made)
