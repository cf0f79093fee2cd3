"""A process a model, with limits of time and memory.

Processes are forked from a server that has imported the libraries and nothing else, so a new one costs milliseconds.
"""

from __future__ import annotations

import io
import multiprocessing as mp
import os
import resource
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from .catalog import Entry, find
from .check import Row, check, loaded
from .rival import rival, unpickled

Loader: TypeAlias = "Callable[[Entry, Path, Any], list[Tensor]]"
SECONDS, SECONDS_TP = 120.0, 20.0  # for one model
GIBIBYTES = 12


def context() -> Any:
    """Where processes are forked from."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    server = mp.get_context("forkserver")
    server.set_forkserver_preload(["tests.zoo.preload"])
    return server


def each(chosen: Sequence[Entry], jobs: int, *, against: bool = True, narrow_norms: bool = False) -> Iterator[Row]:
    """A row for every model, as they are done.

    Args:
        chosen: the models.
        jobs: how many at a time.
        against: with Torch-Pruning too.
        narrow_norms: once more, cut over norms too.
    """
    server = context()
    with ThreadPoolExecutor(jobs) as pool:  # a thread waits for a process
        yield from pool.map(lambda e: _row(server, e, against, narrow_norms), chosen)


def _row(server: Any, entry: Entry, against: bool, narrow_norms: bool) -> Row:
    started = time.perf_counter()
    row, died = limited(server, _ours, str(entry), False, seconds=SECONDS)
    if row is None:
        row = Row(entry.library, entry.name, *_split(died))
    if narrow_norms and row.verdict != "does not run":
        more, died = limited(server, _ours, str(entry), True, seconds=SECONDS)
        if more is None:
            row.verdict_narrow, row.detail_narrow = _split(died)
        else:
            row.verdict_narrow, row.detail_narrow = more.verdict, more.detail
            row.macs_narrow, row.params_narrow = more.macs, more.params
    if against and row.verdict != "does not run":
        both, died = limited(server, _theirs, str(entry), row, seconds=SECONDS_TP)
        if both is None:
            row.verdict_tp, row.detail_tp = _split(died)
        else:
            row = both
    row.total = time.perf_counter() - started
    return row


def _split(died: str) -> tuple[str, str]:
    verdict, _, detail = died.partition(": ")
    return verdict, detail


def limited(server: Any, f: Callable[..., Any], *args: Any, seconds: float) -> tuple[Any, str]:
    """What ``f(*args, load)`` returns in a process of its own, or None and what became of it.

    ``load`` sends a file to another new process, which knows the code, the file and the inputs.
    """
    ours, its = server.Pipe(duplex=False)
    asks, answers = server.Pipe()
    processes = [server.Process(target=_inside, args=(its, asks, f, args)), server.Process(target=_loading, args=(answers,))]
    for process in processes:
        process.start()
    its.close(), asks.close(), answers.close()
    try:
        if not ours.poll(seconds):
            return None, f"timeout: {seconds:.0f} s"
        return ours.recv()
    except EOFError:
        processes[0].join(5)
        return None, f"died: exit code {processes[0].exitcode}"
    finally:
        for process in processes:
            process.kill()
            process.join()
        ours.close()


def _inside(pipe: Any, asks: Any, f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    _alone()

    def load(loader: Loader, entry: Entry, file: Path, x: Any) -> list[Tensor]:
        sent = io.BytesIO()
        torch.save(x, sent)
        asks.send((loader, str(entry), file, sent.getvalue()))
        got = asks.recv()
        if isinstance(got, str):
            raise RuntimeError(got)
        found: list[Tensor] = torch.load(io.BytesIO(got))
        return found

    try:
        result = f(*args, load), ""
    except Exception as e:  # told by the process that waits
        last = traceback.extract_tb(e.__traceback__)[-1]
        result = None, f"error: {type(e).__name__}: {e} ({Path(last.filename).name}:{last.lineno})"
    pipe.send(result)
    pipe.close()


def _loading(answers: Any) -> None:
    _alone()
    loader, name, file, sent = answers.recv()
    try:
        back = io.BytesIO()
        torch.save(loader(find([name])[0], file, torch.load(io.BytesIO(sent))), back)
        answers.send(back.getvalue())
    except Exception as e:  # told where it is waited for
        answers.send(f"{type(e).__name__}: {e}")


def _alone() -> None:
    torch.set_num_threads(1)
    limit = GIBIBYTES << 30
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _ours(name: str, narrow_norms: bool, load: Callable[..., list[Tensor]]) -> Row:
    return check(find([name])[0], narrow_norms=narrow_norms, load=partial(load, loaded))


def _theirs(name: str, row: Row, load: Callable[..., list[Tensor]]) -> Row:
    rival(find([name])[0], row, load=partial(load, unpickled))
    return row
