"""Helper threads: every task once, no wake-up lost, whatever else runs; also after a fork."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from secateur.runtime import pool
from secateur.runtime.graph import Op
from secateur.runtime.ir import Function
from secateur.runtime.jit import addresses
from secateur.runtime.plan import Plan, Step
from secateur.runtime.target import host


def count_tasks():
    """A kernel that adds one to the counter of its task."""
    f = Function("void @count(ptr %job, ptr %workspace, i64 %task)")
    f.let(f"atomicrmw add ptr {f.at('%job', '%task', 'i64')}, i64 1 monotonic")
    f.run("ret void")
    return addresses(f.text(), host(), ("count",))["count"]


class _Layout:
    cpu = host() if sys.modules.get("llvmlite") else None


def program(steps, tasks):
    counters = [np.zeros(tasks, np.int64) for _ in range(steps)]
    made = [Step(Op("count", "count", (), None), "count", count_tasks(), c, tasks) for c in counters]
    layout = type("Layout", (), {"cpu": host()})()
    table = np.array([(s.address, s.job.ctypes.data, s.tasks) for s in made], np.int64)
    return Plan(layout, made, table), counters


def run(plan, examples, threads, times):
    workspace = np.zeros(64 * threads, np.int64)
    for _ in range(times):
        pool.execute(plan, workspace.ctypes.data, 512, examples, threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("examples", [1, 2, 7])
def test_every_task_runs_once(threads, examples):
    plan, counters = program(5, 13)
    run(plan, examples, threads, 40)
    assert all((c == 40 * examples).all() for c in counters)


def test_more_examples_than_tasks_can_be_counted(monkeypatch):
    monkeypatch.setattr(pool, "TASKS", 5)
    plan, counters = program(3, 4)
    run(plan, 23, 2, 7)
    assert all((c == 23 * 7).all() for c in counters)


def test_more_threads_than_processors_and_several_callers():
    """Ten callers with four threads each on whatever processors there are: all work is done, exactly once."""
    plans = [program(20, 7) for _ in range(10)]
    callers = [threading.Thread(target=run, args=(p, 3, 4, 50)) for p, _ in plans]
    [t.start() for t in callers]
    [t.join(120) for t in callers]
    assert not any(t.is_alive() for t in callers)
    assert all((c == 150).all() for _, counters in plans for c in counters)


def test_threads_that_were_wanted_before_are_left_out_later():
    """A helper that is late for a run of eight takes nothing from a run of two, which has two workspaces."""
    plan, counters = program(3, 50)
    for _ in range(200):
        run(plan, 1, 8, 1)
        run(plan, 4, 2, 1)
    assert all((c == 200 * 5).all() for c in counters)


@pytest.mark.slow
def test_a_million_dispatches():
    plan, counters = program(1000, 4)
    started = time.perf_counter()
    run(plan, 1, 3, 1000)
    assert all((c == 1000).all() for c in counters)
    assert time.perf_counter() - started < 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_has_threads_of_its_own():
    plan, counters = program(4, 9)
    run(plan, 1, 3, 5)
    child = os.fork()
    if child == 0:
        try:
            run(plan, 1, 3, 5)
            os._exit(0 if all((c == 10).all() for c in counters) else 1)
        except BaseException:
            os._exit(2)
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        pytest.fail("the child never came back")
    assert os.waitstatus_to_exitcode(status) == 0
    run(plan, 1, 3, 5)
    assert all((c == 10).all() for c in counters)


def test_helpers_sleep_when_there_is_nothing_to_do():
    plan, _ = program(2, 4)
    run(plan, 1, 3, 3)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.15


def test_offering_the_processor_is_a_real_function():
    assert ctypes.CFUNCTYPE(ctypes.c_int)(pool._yield())() in (0, 1)
