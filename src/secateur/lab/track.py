"""Trackers: every finished run's history and figures, for TensorBoard, Weights & Biases or MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..core.errors import RecipeError, did_you_mean, require
from .one import Outcome

__all__ = ["TRACKERS", "Tracker", "make_tracker"]

_FIGURES = (
    "compression", "speedup", "nonzero", "parameters", "macs", "effective_macs", "file_bytes", "dense_bytes", "latency_ms",
    "dense_latency_ms", "seconds",
)  # fmt: skip


class Tracker(Protocol):
    """What is told of finished runs."""

    def track(self, outcome: Outcome) -> None:
        """Take in a finished run."""


class TensorBoard:
    """Event files below ``ROOT/tensorboard``, a folder a run.

    Args:
        root: folder of all runs.
        project: not needed.
    """

    def __init__(self, root: Path, project: str) -> None:
        require("tensorboard", "train")
        self._writer = require("torch.utils.tensorboard", "train").SummaryWriter
        self._root = root / "tensorboard"

    def track(self, outcome: Outcome) -> None:
        """One folder: scalars by step, the figures, the experiment as text."""
        folder = self._root / outcome.experiment.id
        for old in folder.glob("events.*"):  # a run's figures are there once
            old.unlink()
        with self._writer(str(folder)) as writer:
            for step, row in _history(outcome):
                for name, value in row.items():
                    writer.add_scalar(name, value, step)
            for name, value in _figures(outcome).items():
                writer.add_scalar(f"final/{name}", value, 0)
            writer.add_text("experiment", f"```yaml\n{outcome.experiment.to_yaml()}```")


class WandB:
    """A run of Weights & Biases for each run, under the same id: told again it is not there twice.

    Args:
        root: folder of all runs.
        project: name of the project.
    """

    def __init__(self, root: Path, project: str) -> None:
        self._wandb, self._root, self._project = require("wandb", "wandb"), root, project

    def track(self, outcome: Outcome) -> None:
        """History by step, figures as the summary, the experiment as the configuration."""
        e = outcome.experiment
        run = self._wandb.init(
            project=self._project, id=e.id, name=_name(outcome), group=e.label, config=e.to_dict(), dir=str(self._root),
            resume="allow", reinit=True,
        )  # fmt: skip
        for step, row in _history(outcome):
            run.log(row, step=step)
        run.summary.update(_figures(outcome))
        run.finish()


class MLflow:
    """A run of MLflow for each run, where ``MLFLOW_TRACKING_URI`` says.

    Args:
        root: folder of all runs.
        project: name of the experiment there.
    """

    def __init__(self, root: Path, project: str) -> None:
        self._mlflow = require("mlflow", "mlflow")
        self._mlflow.set_experiment(project)

    def track(self, outcome: Outcome) -> None:
        """History by step, figures as metrics without, the experiment as parameters and a file."""
        e = outcome.experiment
        with self._mlflow.start_run(run_name=_name(outcome), tags={"secateur.id": e.id}):
            said = {"task": e.task, "model": e.model, "method": e.label, "compression": e.compression, "seed": e.seed}
            self._mlflow.log_params(said)
            self._mlflow.log_text(e.to_yaml(), "experiment.yaml")
            for step, row in _history(outcome):
                self._mlflow.log_metrics(row, step=step)
            self._mlflow.log_metrics(_figures(outcome))


TRACKERS: Mapping[str, Any] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}


def make_tracker(name: str, root: str | Path, project: str = "secateur") -> Tracker:
    """A tracker by its name; what it told of once it does not tell again.

    Args:
        name: ``tensorboard``, ``wandb`` or ``mlflow``.
        root: folder of all runs.
        project: what the runs are put under, where there is such a thing.

    Raises:
        RecipeError: there is no such tracker.
        DependencyError: its package is not installed.
    """
    if name not in TRACKERS:
        raise RecipeError(f"unknown tracker {name!r}; {did_you_mean(name, TRACKERS)}")
    return _Once(TRACKERS[name](Path(root), project), Path(root), f".tracked-{name}")


class _Once:
    """A tracker that is told of each run once: a mark in the run's folder says so."""

    def __init__(self, tracker: Tracker, root: Path, mark: str) -> None:
        self._tracker, self._root, self._mark = tracker, root, mark

    def track(self, outcome: Outcome) -> None:
        mark = self._root / outcome.experiment.id / self._mark
        if outcome.result is not None and not mark.exists():
            self._tracker.track(outcome)
            mark.touch()


def _name(outcome: Outcome) -> str:
    e = outcome.experiment
    at = "" if e.compression is None else f" {e.compression:g}x"
    return f"{e.model} {e.label}{at} seed {e.seed}"


def _history(outcome: Outcome) -> Iterator[tuple[int, dict[str, float]]]:
    """Steps from the run's first to its last, over all its stages, and what was measured there."""
    assert outcome.result is not None
    before, stage, last = 0, None, 0
    for row in outcome.result["history"]:
        if row["stage"] != stage:
            before, stage = before + last, row["stage"]
        last = row["step"]
        yield before + last, {k: float(v) for k, v in row.items() if k not in ("stage", "step")}


def _figures(outcome: Outcome) -> dict[str, float]:
    """The figures of the finished network."""
    r = outcome.result
    assert r is not None
    splits = {f"{split}_{k}": v for split in ("test", "validation") for k, v in r[split].items()}
    return {**splits, **{k: float(r[k]) for k in _FIGURES if r.get(k) is not None}}
