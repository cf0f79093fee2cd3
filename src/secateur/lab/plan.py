"""The plan of a sweep: what is run, what cannot be, and why; made before any work."""

from __future__ import annotations

import contextlib
import dataclasses as dc
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import secateur

from ..core.errors import RecipeError, RunError, SecateurError
from ..core.files import stamps, to_json
from ..pipeline import Pipeline
from ..training import Task
from .begin import check_steps, make_pruner, recovery_training
from .contender import Contender
from .experiment import CONTROLS as OF_EACH
from .experiment import Experiment
from .fair import fair_arguments
from .imports import with_sources
from .store import read_json_file, write_json_file
from .sweep import CONTROLS, Network, Sweep

__all__ = ["LeftOut", "Plan", "make_plan"]


@dc.dataclass(frozen=True)
class LeftOut:
    """A method that cannot be run on a network at a compression, and why."""

    network: str
    method: str
    compression: float | None
    why: str


@dc.dataclass(frozen=True)
class Plan:
    """What a sweep runs.

    Args:
        experiments: in the order in which they are wanted: a seed at a time.
        left_out: what is not among them.
    """

    experiments: tuple[Experiment, ...]
    left_out: tuple[LeftOut, ...]


def make_plan(sweep: Sweep, root: str | Path, data: str | Path | None = None) -> Plan:
    """The experiments of a sweep, those that cannot be left out.

    Whether a method fits a network is tried on the first seed, once: what was found is kept in the folder of the runs.

    Args:
        sweep: what is asked for.
        root: folder of all runs.
        data: where to look for data sets first.

    Raises:
        RecipeError: nothing is left.
        DataError: a data set is missing.
        ModelError: a model cannot be built.
    """
    file = Path(root) / "sweeps" / f"{sweep.id}.json"
    known = _remembered(file)
    if known is None:
        facts = [_Network(n, data) for n in sweep.networks]
        known = {
            "code": _code(),
            "sweep": sweep.to_dict(),
            "examples": [f.examples for f in facts],
            "left_out": [[i, *row] for i, f in enumerate(facts) for row in f.misfits(sweep)],
        }
        with contextlib.suppress(RunError):  # it is made again then
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json_file(file, known)
    left_out = {(i, name, c): why for i, name, c, why in known["left_out"]}
    experiments = [
        e
        for seed in sweep.seeds
        for i, network in enumerate(sweep.networks)
        for e in _of_network(sweep, network, seed, known["examples"][i], {(n, c) for j, n, c in left_out if j == i})
    ]
    if not experiments:
        raise RecipeError(f"nothing of this sweep can be run: {next(iter(left_out.values()))}")
    sources = sweep.sources
    return Plan(
        tuple(with_sources(e, sources) if sources else e for e in experiments),
        tuple(LeftOut(sweep.networks[i].name, name, c, why) for (i, name, c), why in left_out.items()),
    )


def _of_network(
    sweep: Sweep, network: Network, seed: int, examples: int, left_out: set[tuple[str, float | None]]
) -> Iterator[Experiment]:
    """All experiments of a network of one seed."""
    if "dense" in sweep.controls:
        yield dc.replace(network.dense, seed=seed)
    each = [c for c in sweep.controls if c in OF_EACH]
    for contender in sweep.contenders:
        base = None
        for compression in contender.at(sweep.compressions):
            if (contender.name, compression) in left_out:
                continue
            base = base or _experiment(network, contender, seed, examples)
            pruned = dc.replace(base, compression=compression)
            scratch = "scratch" in sweep.controls and contender.name == CONTROLS["magnitude"]
            controls = dict.fromkeys([*([CONTROLS["scratch"]] if scratch else []), *each])
            yield pruned
            if pruned.pipeline is None:  # a pipeline's controls are those of its recipe
                yield from (dc.replace(pruned, control=c) for c in controls)


def _experiment(network: Network, contender: Contender, seed: int, examples: int) -> Experiment:
    """A contender's experiment, at whatever compression."""
    arguments = fair_arguments(
        contender.build, dict(contender.arguments), start=contender.prunes or "dense", training=network.dense.training,
        finetune=network.finetune, examples=examples, seed=seed, reach=contender.compressions != "own",
    )  # fmt: skip
    made = contender.make(arguments)
    start = dc.replace(network.dense, seed=seed)
    parts: dict[str, Any] = {"pipeline" if isinstance(made, Pipeline) else "recipe": made}
    if contender.name == contender.method and contender.build.__name__ == contender.name:  # not a label, nor a score
        parts = {"method_arguments": arguments, **parts}
    return dc.replace(start, method=contender.name, start=contender.prunes or "dense", **parts)


class _Network:
    """What has to be known of a network before any work."""

    def __init__(self, network: Network, data: str | Path | None) -> None:
        self.network, self.task = network, network.dense.load_task(data)
        self.examples = len(self.task.data.train)
        _build(network.dense)  # a model that cannot be built is no misfit but a mistake

    def misfits(self, sweep: Sweep) -> Iterator[tuple[str, float | None, str]]:
        """Contender, compression and why, of those that do not fit."""
        for contender in sweep.contenders:
            for c in sorted(contender.at(sweep.compressions), key=lambda c: c or 0.0, reverse=True):
                try:
                    base = _experiment(self.network, contender, sweep.seeds[0], self.examples)
                    _check_fit(dc.replace(base, compression=c), self.task)
                except SecateurError as e:
                    yield contender.name, c, str(e)
                else:
                    break  # what reaches this one reaches less


def _check_fit(experiment: Experiment, task: Task) -> None:
    """Refuse what the run would refuse before its training."""
    recipe = make_pruner(experiment, _build(experiment), task).recipe
    training = recovery_training(experiment.training, recipe.recovery)
    check_steps(recipe, training.steps(len(task.data.train)))


def _build(experiment: Experiment) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        return experiment.build_model()


def _remembered(file: Path) -> dict[str, Any] | None:
    """What was found out before by the same code; None to find it out again."""
    try:
        found = read_json_file(file)
    except RunError:
        return None
    return found if found is not None and found.get("code") == _code() else None


def _code() -> str:
    """What the answer depends on beside the sweep: this library and torch."""
    files = stamps(sorted(Path(secateur.__file__).parent.rglob("*.py")))
    return hashlib.sha256(to_json([files, torch.__version__]).encode()).hexdigest()[:12]
