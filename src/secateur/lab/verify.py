"""Does a saved network answer as it did, in a process that knows nothing but the file and the constructor?"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from ..codec import load
from ..core.errors import RunError
from ..training import Task
from .experiment import Experiment

__all__ = ["check_in_fresh_process", "fingerprint"]


def fingerprint(model: nn.Module, task: Task) -> str:
    """SHA-256 of the network's answers to the first 64 test inputs, on one thread."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.inference_mode():
            inputs = next(task.batches(task.data.test, 64))[0]
            answers = model.eval()(inputs)
    finally:
        torch.set_num_threads(threads)
    return hashlib.sha256(answers.cpu().contiguous().numpy().tobytes()).hexdigest()


def check_in_fresh_process(model: nn.Module, task: Task, file: Path, experiment: Path, data: str | Path | None = None) -> str:
    """Load the file in a new Python process into a plain constructor, and compare the answers bit for bit.

    Args:
        model: the network as it is here.
        task: its task.
        file: the saved network.
        experiment: the run's ``experiment.yaml``, which names the constructor.
        data: where to look for the data set first.

    Returns:
        The fingerprint that both have.

    Raises:
        RunError: the answers differ, or the process failed.
    """
    here = fingerprint(model, task)
    command = [sys.executable, "-m", "secateur.lab.verify", str(file), str(experiment), str(data or "")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    there = done.stdout.strip()
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunError(f"a fresh process could not load {str(file)!r}: {reason}")
    if there != here:
        raise RunError(f"{str(file)!r} gives other answers in a fresh process: {there[:12]}… there, {here[:12]}… here")
    return here


def _main(file: str, experiment: str, data: str) -> None:
    e = Experiment.load(experiment)
    print(fingerprint(load(file, e.build_model()), e.load_task(data or None)))


if __name__ == "__main__":
    _main(*sys.argv[1:4])
