"""The verb: dynamic batches, threads, copies, errors, what it says, and what it leaves alone."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
import torch
from sparse_cases import error, kernels, moved_, sparse_, torch_ops
from torch import nn
from torch.nn import functional as F

pytest.importorskip("llvmlite")

import secateur.runtime as runtime
from secateur.core.errors import ModelError
from secateur.training.models import ImageNetResNet, MobileNetV1


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def resnet():
    torch.manual_seed(0)
    return moved_(sparse_(ImageNetResNet(18, classes=7), 0.9))


@pytest.fixture(scope="module")
def fast_resnet():
    net = resnet()
    return net, runtime.compile(net, torch.randn(2, 3, 64, 64), threads=1, seconds=0)


def test_a_residual_network(fast_resnet):
    net, fast = fast_resnet
    assert torch_ops(fast) == ["flatten"]
    for batch in (1, 2, 5):
        for threads in (1, 2, 3):
            fast.threads = threads
            assert error(net, fast, torch.randn(batch, 3, 64, 64)) < 1e-5
    fast.threads = 1


def test_depthwise_layers():
    torch.manual_seed(0)
    net = moved_(sparse_(MobileNetV1(classes=5, width=0.25), 0.8))
    x = torch.randn(2, 3, 64, 64)
    fast = runtime.compile(net, x, threads=1, seconds=0)
    assert error(net, fast, x) < 1e-5


class Block(nn.Module):
    """A transformer's layer, as most write it."""

    def __init__(self, width=48, heads=4, mask=None, function=F.gelu):
        super().__init__()
        self.qkv = nn.ModuleList(sparse_(nn.Linear(width, width), 0.8, i) for i in range(3))
        self.out, self.up = sparse_(nn.Linear(width, width), 0.8), sparse_(nn.Linear(width, 3 * width), 0.8)
        self.down, self.a, self.b = sparse_(nn.Linear(3 * width, width), 0.8), nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads, self.mask, self.function = heads, mask, function

    def forward(self, x):
        q, k, v = (layer(x).view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2) for layer in self.qkv)
        mask = None if self.mask is None else self.mask(x)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(x.shape)
        x = self.a(x + self.out(y))
        return self.b(x + self.down(self.function(self.up(x))))


@pytest.mark.parametrize("tokens", [1, 5, 16, 67])
@pytest.mark.parametrize("function", [F.gelu, F.silu, torch.tanh, F.hardswish, torch.sigmoid])
def test_transformers(tokens, function):
    torch.manual_seed(0)
    net = Block(function=function)
    fast = kernels(net, torch.randn(2, tokens, 48))
    assert torch_ops(fast) == []
    assert error(net, fast, 2 * torch.randn(3, tokens, 48)) < 1e-5


def test_a_mask_that_hides_nothing_costs_nothing():
    torch.manual_seed(0)
    net = Block(mask=lambda x: torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).expand(x.shape[0], 1, -1, -1))
    fast = kernels(net, torch.randn(2, 9, 48))
    assert "attention" in {op.kind for op in fast.graph.ops}
    assert error(net, fast, torch.randn(3, 9, 48)) < 1e-5


@pytest.mark.parametrize(
    "mask", [lambda x: torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril(), lambda x: x[:, None, None, :, 0] > 0]
)
def test_a_mask_that_hides_something(mask):
    torch.manual_seed(0)
    net = Block(mask=mask)
    fast = kernels(net, torch.randn(2, 9, 48))
    assert "scaled_dot_product_attention" not in torch_ops(fast)
    x = torch.randn(3, 9, 48)
    x[:, 0, 0] = 1  # one key at least
    with torch.inference_mode():
        assert torch.allclose(fast(x), net(x), atol=1e-5)


def test_what_has_no_kernel_stays_with_torch():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 5)

        def forward(self, x, scale=None):
            y = torch.cumsum(self.a(x), 1)
            return {"logits": self.b(y.flatten(1)), "none": None, "mean": y.mean()}

    torch.manual_seed(0)
    net, x = Odd(), torch.randn(2, 3, 8, 8)
    fast = runtime.compile(net, x, seconds=0)
    assert torch_ops(fast)[0] == "cumsum"
    assert "there is no kernel for cumsum" in str(fast)
    out = fast(torch.cat([x, x]))
    assert out["logits"].shape == (4, 5)
    assert out["none"] is None


def test_dense_and_sparse_and_why():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 32, 3), sparse_(nn.Conv2d(32, 32, 3), 0.95), sparse_(nn.Conv2d(32, 32, 3), 0.6))
    fast = runtime.compile(net, torch.randn(1, 3, 20, 20), threads=1, seconds=20)
    dense, sparse, either = (x for x in fast.report.layers if x.sparsity is not None)
    assert dense.kernel.startswith("dense")
    assert dense.why == "at 0% sparsity dense without a trial"
    assert sparse.kernel.startswith("sparse")
    assert "ms; " in either.why
    assert " took " in either.why
    again = runtime.compile(net, torch.randn(1, 3, 20, 20), threads=1, seconds=0)  # what was found is kept
    assert [x.why for x in again.report.layers] == [x.why for x in fast.report.layers]


def test_copies_and_files(fast_resnet):
    _, fast = fast_resnet
    x = torch.randn(1, 3, 64, 64)
    for other in (pickle.loads(pickle.dumps(fast)), copy.deepcopy(fast)):
        assert torch.equal(other(x), fast(x))
        assert str(other) == str(fast)


def test_several_threads_call_at_once(fast_resnet):
    _, fast = fast_resnet
    fast.threads = 2
    inputs = [torch.randn(1, 3, 64, 64) for _ in range(6)]
    expected = [fast(x) for x in inputs]
    wrong: list[int] = []

    def work(i):
        for _ in range(20):
            if not torch.equal(fast(inputs[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    [t.start() for t in threads]
    [t.join(60) for t in threads]
    fast.threads = 1
    assert not wrong
    assert not any(t.is_alive() for t in threads)


def test_the_model_is_as_it_was():
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU()).train()
    net[1].eval()
    before = copy.deepcopy(net.state_dict())
    runtime.compile(net, torch.randn(2, 2, 4, 4), seconds=0)
    assert [m.training for m in net] == [True, False, True]
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_inputs_that_do_not_fit_are_told():
    fast = runtime.compile(nn.Linear(4, 2), torch.randn(3, 4), seconds=0)
    with pytest.raises(ModelError, match=r"must be a tensor of shape \('any', 4\), as compiled; got \(3, 5\)"):
        fast(torch.randn(3, 5))
    with pytest.raises(ModelError, match="compiled for 1 arguments; got 2"):
        fast(torch.randn(3, 4), torch.randn(3, 4))
    with pytest.raises(ModelError, match="empty"):
        fast(torch.randn(0, 4))
    with pytest.raises(ModelError, match="threads must be a whole number from 1 up; got 0"):
        fast.threads = 0
    with pytest.raises(ModelError, match="cannot run neon kernels"):
        runtime.compile(nn.Linear(4, 2), torch.randn(3, 4), vectors="neon")
    with pytest.raises(ModelError, match="is on meta; compile is for CPUs"):
        runtime.compile(nn.Linear(4, 2, device="meta"), torch.randn(3, 4))


def test_inputs_of_other_layouts_are_taken():
    torch.manual_seed(0)
    net = nn.Conv2d(3, 4, 3, padding=1)
    fast = kernels(net, torch.randn(2, 3, 8, 8))
    x = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        for same in (x.to(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
            assert torch.allclose(fast(same), net(x), atol=1e-5)


def test_writing_into_a_view_is_refused():
    class Writes(nn.Module):
        def forward(self, x):
            y = x * 2
            y[:, 0].relu_()
            return y

    with pytest.raises(ModelError, match="writes into"):
        runtime.compile(Writes(), torch.randn(2, 3), seconds=0)


def test_a_wrong_kernel_is_not_handed_out(monkeypatch):
    from secateur.runtime import compile as _  # noqa: F401
    from secateur.runtime import compiled

    good = compiled.Compiled.__call__
    monkeypatch.setattr(compiled.Compiled, "__call__", lambda self, *a, **k: good(self, *a, **k) + 1e-2)
    with pytest.raises(ModelError, match="differs from the model by"):
        runtime.compile(nn.Linear(4, 2), torch.randn(3, 4), seconds=0)


def test_without_llvmlite_torch_does_it(monkeypatch):
    from secateur.core.errors import DependencyError
    from secateur.runtime import compiled

    def missing(name):
        raise DependencyError("llvmlite is not installed; it comes with: pip install 'secateur[cpu]'")

    monkeypatch.setattr(compiled, "host", missing)
    net = resnet()
    fast = runtime.compile(net, torch.randn(1, 3, 64, 64), seconds=0)
    assert error(net, fast, torch.randn(2, 3, 64, 64)) < 1e-5
    assert "llvmlite is not installed" in str(fast)
