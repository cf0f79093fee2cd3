"""Helper threads, one set a process; whoever calls first has them, others work alone meanwhile."""

from __future__ import annotations

import ctypes as ct
import os
import sys
import threading
from functools import cache
from typing import Any

import numpy as np

from .jit import addresses
from .kernels.run.cpu import CLOSED, CONTROL, LIMIT, NAMES, OPEN, TASKS, module
from .plan import Plan, Step, aligned
from .target import Target, host
from .workspace import Workspace

__all__ = ["execute", "run_one"]

_P, _N = ct.c_void_p, ct.c_int64


@cache
def _functions(target: Target) -> tuple[Any, Any, Any]:
    at = addresses(module(target), target, NAMES)
    return (
        ct.CFUNCTYPE(None, _P, _N, _P, _N, _N)(at["run"]),
        ct.CFUNCTYPE(None, _P, _P, _P, _N, _N, _N, _P)(at["share"]),
        ct.CFUNCTYPE(None, _P, _N, _P)(at["help"]),
    )


@cache
def _yield() -> int:
    """The address of the call that offers the processor to others."""
    if sys.platform == "win32":
        return int(ct.cast(ct.windll.kernel32.SwitchToThread, _P).value or 0)
    return int(ct.cast(ct.CDLL(None).sched_yield, _P).value or 0)


class _Helpers:
    """Threads that sleep on a condition, and spin only while a program runs."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.busy = threading.Lock()
        self.control = aligned(np.zeros(CONTROL, np.int64))
        self.control[0] = CLOSED
        self._awake = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._wanted = 0

    def share(self, plan: Plan, program: int, workspace: int, stride: int, examples: int, threads: int) -> None:
        """Run with ``threads − 1`` helpers; the caller holds ``busy``."""
        while len(self._threads) < threads - 1:
            thread = threading.Thread(target=self._loop, args=(len(self._threads) + 1,), name="secateur", daemon=True)
            self._threads.append(thread)
            thread.start()
        with self._awake:  # a helper looks at `_wanted` under the same lock before it sleeps: no call is lost
            self._wanted = threads - 1
            self.control[LIMIT] = threads - 1  # one that is late for a run with more threads takes nothing
            self.control[OPEN] = 1
            self._awake.notify_all()
        apart = min(examples, TASKS)
        apart -= apart % threads
        try:
            _functions(self.target)[1](self.control.ctypes.data, program, workspace, stride, examples, apart, _yield())
        finally:
            self._wanted = 0
            self.control[OPEN] = 0

    def _loop(self, number: int) -> None:
        run = _functions(self.target)[2]
        while True:
            with self._awake:
                while number > self._wanted:
                    self._awake.wait()
            run(self.control.ctypes.data, number, _yield())


_helpers: dict[Target, _Helpers] = {}
_making = threading.Lock()


def _forget() -> None:
    """After a fork the threads are gone; what they shared is left to the parent."""
    global _making
    _helpers.clear()
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def execute(plan: Plan, workspace: int, stride: int, examples: int, threads: int) -> None:
    """Run a plan.

    Args:
        plan: what to run.
        workspace: address of the first thread's workspace, its header filled in.
        stride: bytes to the next thread's.
        examples: how often to run it.
        threads: at most; one when others hold the helpers.
    """
    target = plan.layout.cpu
    table, count = plan.address, len(plan.table)
    if threads > 1:
        with _making:
            helpers = _helpers.setdefault(target, _Helpers(target))
        if helpers.busy.acquire(blocking=False):
            try:
                program = np.array([table, count], np.int64)
                helpers.share(plan, program.ctypes.data, workspace, stride, examples, threads)
            finally:
                helpers.busy.release()
            return
    if plan.run is None:
        plan.run = _functions(target)[0]
    plan.run(table, count, workspace, 0, examples)


def run_one(step: Step, workspace: Workspace) -> None:
    """Run one step for the example that the workspace is at, on this thread."""
    row = np.array([step.address, step.job.ctypes.data, step.tasks], np.int64)
    _functions(host())[0](row.ctypes.data, 1, workspace.address, 0, 1)
