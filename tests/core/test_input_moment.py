from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur import DataError
from secateur.core.input_moment import collect_input_moments, damped
from secateur.core.statistics import run_batch

CONVS = {
    "plain": (nn.Conv2d(3, 4, 3), (2, 3, 7, 6)),
    "rectangular": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), (2, 3, 9, 8)),
    "grouped": (nn.Conv2d(6, 4, 3, groups=2, padding=1), (2, 6, 5, 5)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), (2, 4, 6, 6)),
    "same": (nn.Conv2d(3, 4, (2, 3), padding="same", dilation=(1, 2)), (2, 3, 6, 7)),
    "valid": (nn.Conv2d(3, 4, 2, padding="valid"), (2, 3, 6, 7)),
    "circular": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (2, 3, 6, 7)),
    "unbatched": (nn.Conv2d(3, 4, 3), (3, 6, 7)),
    "1d": (nn.Conv1d(3, 4, 3, stride=2, padding=2, groups=1), (2, 3, 11)),
    "3d": (nn.Conv3d(2, 4, (1, 2, 3), groups=2, padding=(0, 1, 1)), (2, 2, 3, 4, 5)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # of torch's own convolution
@pytest.mark.parametrize("kind", CONVS)
def test_patches_are_what_the_rows_multiply(kind):
    """W·x over the patches gives the outputs, so Σ (w·x)² = wᵀ M w for every row."""
    conv, shape = CONVS[kind]
    conv, x = conv.double(), torch.randn(*shape, dtype=torch.float64)
    moment = collect_input_moments(conv, ["weight"], [x], None)["weight"]
    rows = conv.weight.detach().flatten(1)
    assert moment.shape == (conv.groups, rows.shape[1], rows.shape[1])
    bias = conv.bias.detach().view(-1, *[1] * (conv.weight.ndim - 2))
    out = (conv(x).detach() - bias).movedim(-conv.weight.ndim + 1, 0).flatten(1)
    which = torch.arange(len(rows)) * conv.groups // len(rows)
    assert torch.allclose(torch.einsum("ri,rij,rj->r", rows, moment[which], rows), out.square().sum(1))


def test_it_is_the_sum_over_batches_places_and_chunks(monkeypatch):
    conv, x = nn.Conv2d(2, 3, 3), torch.randn(7, 2, 5, 5)
    together = collect_input_moments(conv, ["weight"], [x], None)["weight"]
    monkeypatch.setattr("secateur.core.input_moment._CHUNK", 1)
    apart = collect_input_moments(conv, ["weight"], [x[:3], x[3:]], None)["weight"]
    assert torch.allclose(together, apart)
    assert together.dtype == torch.float64


class Shared(nn.Module):
    """One matrix in two layers and once by hand, one that nothing reads, and a convolution by hand."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.unread = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
        self.two.weight = self.one.weight
        self.kernel = nn.Parameter(torch.randn(2, 1, 3))

    def forward(self, x):
        self.seen = [x, x + 1, x * 2]
        y = self.one(self.seen[0]) + self.two(self.seen[1]) + F.linear(input=self.seen[2], weight=self.one.weight)
        return F.conv1d(y[:, None], weight=self.kernel)


def test_shared_weights_get_the_sum_of_all_their_inputs():
    model, x = Shared(), torch.randn(5, 4)
    found = collect_input_moments(model, ["one.weight", "unread.weight", "kernel"], [x], None)
    assert set(found) == {"one.weight", "kernel"}
    wanted = sum(s.double().T @ s.double() for s in model.seen)
    assert torch.allclose(found["one.weight"][0], wanted, rtol=1e-6)
    assert found["kernel"].shape == (1, 3, 3)


class Conv1D(nn.Module):
    """A linear layer with its weight the other way round, as Transformers has it."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)


def test_a_weight_the_other_way_round():
    x = torch.randn(2, 3, 4)
    found = collect_input_moments(Conv1D(4, 6), ["weight"], [x], None)["weight"]
    assert torch.allclose(found[0], x.double().flatten(0, 1).T @ x.double().flatten(0, 1), rtol=1e-6)


def test_damping():
    matrix, there = damped(torch.diag(torch.tensor([4.0, 0.0, 2.0]).double()), 0.1)
    assert matrix.diagonal().tolist() == pytest.approx([4.3, 1.0, 2.3])
    assert there.tolist() == [True, False, True]
    singular = torch.ones(3, 3, dtype=torch.float64)
    assert int(torch.linalg.cholesky_ex(singular).info) > 0
    matrix, _ = damped(singular, 0.0)
    assert int(torch.linalg.cholesky_ex(matrix).info) == 0
    assert float((matrix - singular).abs().max()) < 1e-9
    assert torch.equal(damped(torch.zeros(2, 2).double(), 0.5)[0], torch.eye(2).double())


def test_the_batches_it_runs_on():
    model, x = nn.Linear(2, 2), torch.ones(3, 2)
    for batch in (x, (x, torch.zeros(3)), {"input": x}):
        assert collect_input_moments(model, ["weight"], [batch], None)["weight"].tolist() == [[[3.0, 3.0], [3.0, 3.0]]]
    own = collect_input_moments(model, ["weight"], ["text"], lambda m, batch: m(x).sum())
    assert own["weight"].tolist() == [[[3.0, 3.0], [3.0, 3.0]]]
    with pytest.raises(DataError, match="no way is known to run the model on a batch of type str"):
        run_batch(model, "text", None)
    with pytest.raises(DataError, match="data holds no batch"):
        collect_input_moments(model, ["weight"], [], None)
