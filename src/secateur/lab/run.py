"""Run an experiment: train, prune, recover, save, measure; resumable at any moment, never done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from ..codec import compress, load, save
from ..core.environment import environment
from ..core.errors import RunError
from ..training import Task
from .experiment import Experiment
from .figures import figures
from .job import Job, Say
from .store import RunFolder

__all__ = ["Say", "load_model", "run"]


def run(
    experiment: Experiment,
    root: str | Path,
    *,
    data: str | Path | None = None,
    keep_every: float = 20.0,
    say: Say | None = None,
    task: Callable[[], Task] | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    """Run an experiment to its result, or read the result of an earlier run.

    What it goes on from is run first: the dense network, the same with one round less, the pruned network of a control.
    Killed at any moment and called again it continues from the last checkpoint, and on a CPU ends with the bits of an
    uninterrupted run. A second process that asks for the same run waits for the first one.

    Args:
        experiment: what to do.
        root: folder of all runs; this one's is ``root/<id>``.
        data: where to look for the data set first.
        keep_every: seconds between checkpoints.
        say: told the stage and the steps done.
        task: what gives the experiment's task, where it may be loaded already.
        wait: for another process that works on the run.

    Returns:
        What ``result.json`` holds.

    Raises:
        RunError: the folder cannot be written, or a file in it is corrupt; ``RunBusy`` when another process works on it and we
            were not to wait.
    """
    folder = RunFolder(root, experiment.id)
    done = folder.read_result()
    if done is not None:
        return done
    earlier, dense = experiment.follows(), None
    if earlier is not None:
        run(earlier, root, data=data, keep_every=keep_every, say=say, task=task, wait=wait)
    if experiment.recipe is not None and experiment.start == "dense":
        dense = run(experiment.dense(), root, data=data, keep_every=keep_every, say=say, task=task, wait=wait)
    with folder.lock(wait=wait):
        done = folder.read_result()  # another process may have finished it while we waited
        if done is None:
            folder.write_text("experiment.yaml", experiment.to_yaml())
            loaded = experiment.load_task(data) if task is None else task()
            _work(Job(experiment, folder, loaded, keep_every, say, dense, data), Path(root))
            done = folder.read_result()
        folder.drop_checkpoint()
    if done is None:
        raise RunError(f"{str(folder.path / 'result.json')!r} was deleted while the run ended; run the experiment again")
    return done


def _work(job: Job, root: Path) -> None:
    """From wherever the job is to its result."""
    experiment, folder = job.experiment, job.folder
    before = None
    if experiment.recipe is None:
        job.train_dense()
    elif experiment.pipeline is not None:
        before = job.share_and_tune(root)
    elif experiment.control is not None:
        job.train_control(root)
    else:
        before = job.prune_and_recover(root)
    seconds, cost = job.seconds, job.cost.state()
    job.model.cpu()  # wherever it was trained, it is measured and timed here
    weights = folder.path / "model.safetensors"
    metadata: dict[str, Any] = {"experiment": experiment.id}
    if experiment.pipeline is not None:
        code = experiment.pipeline.code
        compress(job.model, weights, coder=code.coder, index_bits=code.index_bits, metadata=metadata)
    else:
        save(job.model, weights, metadata=metadata if job.pruner is None else {**metadata, "recipe": job.pruner.recipe})
    job.keep_pruner()
    result = {
        "id": experiment.id,
        "experiment": experiment.to_dict(),
        **figures(
            job.model, job.dense_model(root), job.task, weights,
            before=before, dense=job.dense, steps=cost["steps"], batch=experiment.training.batch_size,
        ),
        "early_stop": job.early_stop(),
        "seconds": seconds,
        "cost": cost,
        "history": job.history,
        "environment": environment(),
    }  # fmt: skip
    folder.write_json("result", result)


def load_model(experiment: Experiment, root: str | Path) -> nn.Module:
    """The network a finished run ended with.

    Raises:
        RunError: the run has not finished.
    """
    path = Path(root) / experiment.id / "model.safetensors"
    if not path.exists():
        raise RunError(f"run {experiment.id} has no network yet: {str(path)!r} does not exist; run the experiment first")
    return load(path, experiment.build_model())
