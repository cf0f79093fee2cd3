"""Every kernel's oracle by torch: one for each folder, equal to what kernels leave in memory, and to float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import kernels, sparse_
from torch import nn
from torch.nn import functional as F

pytest.importorskip("llvmlite")

import secateur.runtime.kernels as folders
from secateur.runtime.pool import run_one
from secateur.runtime.reference import REFERENCES, run_op
from secateur.runtime.segments import Segment
from secateur.runtime.workspace import Workspace


def test_every_folder_has_one():
    for folder in Path(folders.__file__).parent.iterdir():
        if (folder / "cpu.py").exists():
            assert (folder / "reference.py").exists(), folder.name


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 23), st.integers(1, 23), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3),
    st.sampled_from(["conv", "max"]),
)  # fmt: skip
def test_copies_in_and_out_and_for_strides(channels, height, width, down, right, kernel, kind):
    """After the step that makes them, planes hold what the reference gives, with its filling up to the last pixel."""
    torch.manual_seed(0)
    layer = {"conv": nn.Conv2d(channels, 2, kernel, (down, right), kernel // 2),
             "max": nn.MaxPool2d(kernel, (down, right), kernel // 2)}[kind]  # fmt: skip
    x = torch.randn(1, channels, max(height, kernel), max(width, kernel))
    fast = kernels(layer, x)
    plan = fast.plan(0, fast._parts[0], 1, 1)
    workspace, y = Workspace(plan.layout, 1), torch.empty(layer(x).shape)
    workspace.outside([x.data_ptr(), y.data_ptr()])
    values = {plan.layout.segment.inputs[0]: x}
    for op in plan.layout.ops:
        for step in (s for s in plan.steps if s.op.name == op.name):
            run_one(step, workspace)
        if op.kind == "import":
            values[op.name] = run_op(op, x)
        elif op.kind == "phases":
            values[op.name] = run_op(op, values[op.inputs[0]])
        else:
            continue
        place = plan.layout.places[op.name]
        assert torch.equal(_planes(workspace, place), values[op.name][0]), op.kind
    with torch.inference_mode():
        assert torch.allclose(y, layer(x), atol=1e-5)


def _planes(workspace, place):
    form, space = place.form, place.space
    start = place.start // 4
    planes = torch.from_numpy(workspace.floats[start : start + form.channels * space.plane].copy()).view(form.channels, -1)
    rows = [planes[:, r * space.pitch : r * space.pitch + form.width] for r in range(form.height)]
    return torch.stack(rows, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 80), st.integers(1, 150), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_one_vector(inputs, outputs, residual, sparsity):
    torch.manual_seed(0)
    layer = sparse_(nn.Linear(inputs, outputs), sparsity)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, z):
            y = self.layer(x)
            return F.hardtanh(y + z if residual else y, -0.5, 0.8)

    x, z = torch.randn(1, inputs), torch.randn(1, outputs)
    fast = kernels(Net(), (x, z))
    conv = next(op for op in fast.graph.ops if op.kind == "conv")
    given = (x.double(), z.double()) if residual else (x.double(),)
    with torch.inference_mode():
        wanted = run_op(conv, *given)
        assert torch.allclose(wanted, Net().double()(x.double(), z.double()))
        layer.float()
        assert torch.allclose(fast(x, z).double(), wanted, atol=1e-5)


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = sparse_(nn.Conv2d(3, 8, 3, 2, 1), 0.5), sparse_(nn.Conv2d(8, 8, 1), 0.8)

    def forward(self, x):
        y = F.relu(self.a(x))
        return F.max_pool2d(y + self.b(y), 2), y.mean((2, 3), keepdim=True)


def test_the_whole_program():
    """What runs where no kernel can gives what the kernels give."""
    torch.manual_seed(0)
    net, x = Branches(), torch.randn(2, 3, 17, 15)
    fast = kernels(net, x)
    assert all(isinstance(part, Segment) for part in fast._parts)
    found = fast(x)
    fast.target = None
    again = fast(x)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, again, strict=True))


def test_every_kind_of_operation_has_one():
    from secateur.runtime.choose import _KERNELS

    assert {*_KERNELS, "conv"} == set(REFERENCES)
