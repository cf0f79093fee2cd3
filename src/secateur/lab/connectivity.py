"""Are two networks in one valley? The error on the straight line between them, and a network's stability to the data order."""

from __future__ import annotations

import contextlib
import copy
import dataclasses as dc
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ModelError, RecipeError
from ..pruner import Pruner
from ..recovery import recalibrate_
from ..training import Progress, Task, fit
from ..training.loop import mix_seeds
from .controls import hold
from .experiment import Experiment
from .store import RunFolder

__all__ = ["Barrier", "barrier", "instability"]


@dc.dataclass(frozen=True)
class Barrier:
    """The error along the line from A to B.

    Args:
        errors: at evenly spaced points, A's first and B's last; fractions in [0, 1], or whatever was measured.
    """

    errors: tuple[float, ...]

    @property
    def height(self) -> float:
        """How far the line rises above the mean of its ends: max E(α) − (E(A) + E(B)) / 2."""
        return max(self.errors) - statistics.fmean((self.errors[0], self.errors[-1]))

    @property
    def stable(self) -> bool:
        """Whether it rises by less than 2 points, as the paper has it."""
        return self.height < 0.02


def barrier(
    a: nn.Module,
    b: nn.Module,
    evaluate: Callable[[nn.Module], float],
    *,
    points: int = 11,
    recalibrate: Iterable[Any] | None = None,
) -> Barrier:
    r"""The error of the networks between two.

    .. math:: \max_\alpha E(\alpha A + (1 - \alpha) B) - \tfrac12 (E(A) + E(B))

    Weights that are zero in both are zero between them, so masks that both have hold all along.

    Args:
        a: one end.
        b: the other end, of the same class.
        evaluate: the error of a network, on data that neither was trained on.
        points: how many networks, both ends included.
        recalibrate: training batches over which every network's batch norms, the ends' too, take their statistics anew;
            None leaves them averaged like the weights.

    Raises:
        ModelError: the two are of different shape, or fewer than two points.

    Example:
        >>> line = torch.nn.Linear(1, 1)
        >>> barrier(line, line, lambda m: float(m.weight.detach()) ** 2).height
        0.0

    Source:
        Frankle et al., *Linear Mode Connectivity and the Lottery Ticket Hypothesis*, 2020, arXiv:1912.05671.
    """
    one, other = a.state_dict(), b.state_dict()
    if points < 2:
        raise ModelError(f"a line has two ends at least; got points={points}")
    if {n: v.shape for n, v in one.items()} != {n: v.shape for n, v in other.items()}:
        raise ModelError("the line between two networks needs equal names and shapes; build both with the same arguments")
    between, batches = copy.deepcopy(a), None if recalibrate is None else list(recalibrate)
    errors = []
    for i in range(points):
        near, far, steps = (one, other, i) if 2 * i < points else (other, one, points - 1 - i)  # alike from either end
        between.load_state_dict(_mix(near, far, steps / (points - 1)))
        if batches is not None:
            recalibrate_(between, batches, examples=2**31)
        errors.append(float(evaluate(between)))
    return Barrier(tuple(errors))


def _mix(near: Mapping[str, Tensor], far: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """A share of the way from one state to another, at most half; counters are the near one's."""
    if share == 0.5:
        return {n: (v + far[n]) / 2 if v.is_floating_point() else v for n, v in near.items()}
    return {n: v + share * (far[n] - v) if v.is_floating_point() else v for n, v in near.items()}


class _Reached(Exception):
    """The training is at the step that was wanted."""


def instability(
    experiment: Experiment,
    root: str | Path,
    *,
    at_step: int,
    data: str | Path | None = None,
    points: int = 11,
    recalibrate: Iterable[Any] | None = None,
) -> Barrier:
    """Train a network to step k, then two copies of it to the end with different data order, augmentation and dropout.

    The line between the copies is evaluated on the test split. Both keep the optimizer's state of step k. For a pruned
    experiment, which must have been run, the copies train under the masks it ended with: its *subnetwork* at step k.

    Args:
        experiment: whose network, data and training.
        root: folder of all runs.
        at_step: k, optimizer steps of the dense training that both copies share.
        data: where to look for the data set first.
        points: networks on the line, both ends included.
        recalibrate: as in ``barrier``.

    Returns:
        The test error (1 − top1) along the line; ``stable`` when its height is below 0.02.

    Raises:
        RecipeError: the training has fewer steps.
        RunError: the pruned experiment has not been run.
    """
    task = experiment.load_task(data)
    steps = experiment.training.steps(len(task.data.train))
    if not 0 <= at_step <= steps:
        raise RecipeError(f"at_step must be ≥ 0 and ≤ {steps}, the steps of the training; got {at_step}")
    kept = None if experiment.recipe is None else RunFolder(root, experiment.id).load_pruner()
    torch.manual_seed(mix_seeds(experiment.seed, 0))
    model = experiment.build_model()
    shared = _train_to(model, task, experiment, at_step)
    ends = []
    for copied in range(2):
        end = copy.deepcopy(model)
        pruner = None if kept is None else _masked(end, task, experiment, kept)
        at = Progress(step=at_step, optimizer=copy.deepcopy(shared.optimizer))
        fit(end, task, experiment.training, pruner=pruner, seed=mix_seeds(experiment.seed, 8, copied), progress=at)
        ends.append(end)
    return barrier(
        ends[0], ends[1], lambda m: 1 - task.evaluate(m, task.data.test)["top1"], points=points, recalibrate=recalibrate
    )


def _train_to(model: nn.Module, task: Task, experiment: Experiment, at_step: int) -> Progress:
    """The first steps of the dense run, with its data order."""
    found = Progress()

    def stop(step: int, now: Callable[[], Progress]) -> None:
        nonlocal found
        if step == at_step:
            found = copy.deepcopy(now())
            raise _Reached

    if at_step:
        with contextlib.suppress(_Reached):
            fit(model, task, experiment.training, seed=mix_seeds(experiment.seed, 5, 0), keep=stop)
    return found


def _masked(model: nn.Module, task: Task, experiment: Experiment, kept: Mapping[str, Any]) -> Pruner:
    assert experiment.recipe is not None
    structure = experiment.recipe.structure
    example = task.example_inputs() if structure.couples or not structure.alone else None
    pruner = hold(model, experiment.recipe, kept, example)
    next(pruner.rounds())  # it prunes no more, whatever is trained
    return pruner
