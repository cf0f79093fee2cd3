"""Nothing is read or written outside: canaries around every buffer, and pages that must not be touched around tensors."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import kernels, moved_, sparse_
from torch import nn

pytest.importorskip("llvmlite")

from secateur.runtime.layout import Place
from secateur.runtime.pool import run_one
from secateur.runtime.segments import Segment
from secateur.runtime.workspace import Workspace
from secateur.training.models import ImageNetResNet, MobileNetV1

_CANARY = np.float32(12345.678)


@st.composite
def networks(draw):
    c, d, k, s = draw(st.integers(1, 9)), draw(st.integers(1, 13)), draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 2))
    pool = draw(st.sampled_from([nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 1, 1), nn.Identity()]))
    net = nn.Sequential(nn.Conv2d(c, d, k, s, k // 2), nn.ReLU(), pool, nn.Conv2d(d, c, 1), nn.GELU(), nn.AdaptiveAvgPool2d(1))
    return sparse_(net, draw(st.sampled_from([0.0, 0.9]))), (1, c, draw(st.integers(4, 23)), draw(st.integers(4, 23)))


@settings(max_examples=30, deadline=None)
@given(networks())
def test_every_step_writes_into_its_value_alone(case):
    net, shape = case
    _check_writes(net, torch.randn(shape))


def test_every_step_of_real_networks_writes_into_its_value_alone():
    torch.manual_seed(0)
    for net in (ImageNetResNet(18, classes=4), MobileNetV1(classes=4, width=0.25)):
        _check_writes(moved_(sparse_(net, 0.9)), torch.randn(1, 3, 64, 64))


def _check_writes(net, x):
    fast = kernels(net, x)
    for i, part in enumerate(fast._parts):
        if not isinstance(part, Segment) or part.light:
            continue
        plan = fast.plan(i, part, 1, 1)
        workspace = Workspace(plan.layout, 1)
        outside = [np.full(_floats(plan.layout.outside(n)) + 64, _CANARY) for n in plan.layout.slots]
        workspace.hold([a[32:] for a in outside])
        floats = workspace.floats
        for step in plan.steps:
            floats[128:] = np.where(np.isfinite(floats[128:]), floats[128:], 0)
            before, others = floats.copy(), [a.copy() for a in outside]
            run_one(step, workspace)
            place = plan.layout.places.get(step.op.name)
            own = np.zeros(len(floats), bool)
            if place is not None:
                own[place.start // 4 : place.start // 4 + _size(place)] = True
            assert np.array_equal(before[~own], floats[~own], equal_nan=True), step.kernel
            for name, now, then in zip(plan.layout.slots, outside, others, strict=True):
                inner = name == step.op.name and step.op.kind == "export"
                same = np.concatenate([now[:32], now[-32:]]) if inner else now
                assert np.array_equal(same, np.concatenate([then[:32], then[-32:]]) if inner else then), step.kernel


def _floats(form):
    return form.channels * form.height * form.width


def _size(place: Place) -> int:
    return place.form.channels * place.space.plane


PAGES = """
import ctypes, mmap, torch, sys
sys.path.insert(0, {tests!r})
import test_memory
test_memory.between_pages()
"""


def test_tensors_between_pages_that_must_not_be_touched():
    """In a process of its own: a stray access would end it."""
    if sys.platform == "win32":
        pytest.skip("no mprotect")
    from pathlib import Path

    code = PAGES.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def between_pages():
    """Inputs and outputs that begin or end right at a forbidden page."""
    torch.manual_seed(0)
    libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    for net, shape in (
        (nn.Conv2d(3, 5, 3, 2, 1), (1, 3, 13, 11)),
        (nn.Conv2d(2, 3, 1), (1, 2, 7, 7)),
        (nn.MaxPool2d(3, 2, 1), (1, 3, 9, 9)),
        (nn.Linear(37, 21), (5, 37)),
        (nn.Linear(37, 21), (1, 37)),
        (nn.Linear(11, 6), (1, 9, 11)),
    ):
        x = torch.randn(shape)
        fast = kernels(net, x)
        part = fast._parts[0]
        plan = fast.plan(0, part, shape[0], 1)
        with torch.inference_mode():
            y = net(x)
        for at_end in (True, False):
            workspace, held = Workspace(plan.layout, 1), []
            for t in (x, y):
                memory = mmap.mmap(-1, 3 * page + -(-4 * t.numel() // page) * page)
                start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
                for edge in (start, start + len(memory) - page):
                    assert libc.mprotect(ctypes.c_void_p(edge), ctypes.c_size_t(page), 0) == 0
                address = start + len(memory) - page - 4 * t.numel() if at_end else start + page
                held.append((memory, address))
            ctypes.memmove(held[0][1], x.data_ptr(), 4 * x.numel())
            workspace.outside([a for _, a in held])
            for step in plan.steps:
                run_one(step, workspace)
            out = torch.frombuffer((ctypes.c_float * y.numel()).from_address(held[1][1]), dtype=torch.float32)
            assert torch.allclose(out.view_as(y), y, atol=1e-5)
