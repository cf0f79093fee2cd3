from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

from secateur.evaluate.macs import count_macs

GOLDEN = [
    ("resnet_20", 40_551_040, 269_722),
    ("resnet_56", 125_485_696, 853_018),
    ("resnet_110", 252_887_680, 1_727_962),
    ("vgg_16_bn", 313_463_808, 14_991_946),
]


class Fn(nn.Module):
    """A function as a module, with one 4×4 weight."""

    def __init__(self, f: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        self.f, self.w = f, nn.Parameter(torch.ones(4, 4))

    def forward(self, x: torch.Tensor) -> Any:
        return self.f(x, self.w)


@pytest.mark.parametrize(("name", "macs", "parameters"), GOLDEN)
def test_exact_checks_2_and_5(name: str, macs: int, parameters: int) -> None:
    models = pytest.importorskip("secateur.training.models")
    model = models.build_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert count_macs(model, torch.zeros(2, 3, 32, 32)).total == macs


def test_a_transformer_block_by_hand() -> None:
    d, heads, hidden, tokens, batch = 32, 4, 64, 5, 3
    macs = count_macs(nn.TransformerEncoderLayer(d, heads, hidden, batch_first=True), torch.zeros(batch, tokens, d))
    projections, attention, mlp = 4 * tokens * d * d, 2 * tokens * tokens * d, 2 * tokens * d * hidden
    assert macs.total == projections + attention + mlp
    assert macs.by_name()["self_attn:scaled_dot_product_attention"] == (attention, attention)
    assert macs.batch == batch


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_counts_are_of_one_example(batch: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 9, 5))
    assert count_macs(model, torch.zeros(batch, 3, 8, 8)).total == 9 * 8 * 27 + 72 * 5


CASES: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "grouped convolution": (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 5), 9 * 6 * 2 * 9),
    "circular padding": (nn.Conv1d(4, 6, 3, padding=1, padding_mode="circular"), (2, 4, 5), 5 * 6 * 4 * 3),
    "same padding": (nn.Conv3d(2, 3, 3, padding="same"), (2, 2, 4, 4, 4), 64 * 3 * 2 * 27),
    "transposed convolution": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 5), 25 * 4 * 3 * 9),
    "x @ wᵀ": (Fn(lambda x, w: x @ w.t()), (2, 4), 16),
    "w @ x": (Fn(lambda x, w: w @ x.mT), (2, 3, 4), 48),
    "einsum": (Fn(lambda x, w: torch.einsum("...i,oi->...o", x, w)), (2, 3, 4), 48),
    "einsum, implicit result": (Fn(lambda x, w: torch.einsum("bi,ij", x, w)), (2, 4), 16),
    "einsum, outer product": (Fn(lambda x, w: torch.einsum("bi,oj->bioj", x, w)), (2, 4), 0),
    "einsum of three": (Fn(lambda x, w: torch.einsum("bi,ij,jk->bk", x, w, w)), (2, 4), 32),
    "tensordot": (Fn(lambda x, w: torch.tensordot(x, w, dims=1)), (2, 3, 4), 48),
    "inner": (Fn(torch.inner), (2, 4), 16),
    "addmm": (Fn(lambda x, w: torch.addmm(w[0], x, w)), (2, 4), 16),
    "baddbmm": (Fn(lambda x, w: torch.baddbmm(x, x, w.expand(2, 4, 4))), (2, 3, 4), 48),
    "addbmm": (Fn(lambda x, w: torch.addbmm(x[0], x, w.expand(2, 4, 4))), (2, 3, 4), 48),
    "mv": (Fn(lambda x, w: w @ x[0]), (1, 4), 16),
    "a slice of the weight": (Fn(lambda x, w: F.linear(x, w[:2])), (2, 4), 8),
    "unbatched mean": (Fn(lambda x, w: F.linear(x.mean(0, keepdim=True), w)), (1, 4), 16),
    "under autocast": (Fn(lambda x, w: _autocast(x, w)), (2, 4), 16),
    "bilinear": (nn.Bilinear(4, 5, 3), (2, 4), 3 * 4 * 5 + 3 * 5),
    "embedding": (nn.Embedding(7, 4), (2, 3), 0),
    "two-way LSTM": (nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True), (2, 3, 4), 3 * 4 * 2 * (5 * 9 + 5 * 15)),
    "GRU": (nn.GRU(4, 5, batch_first=True), (2, 3, 4), 3 * 3 * 5 * 9),
    "RNN": (nn.RNN(4, 5, batch_first=True), (2, 3, 4), 3 * 5 * 9),
    "LSTM with projection": (nn.LSTM(4, 5, proj_size=3, batch_first=True), (2, 3, 4), 3 * (20 * 4 + 20 * 3 + 15)),
    "LSTM cell": (nn.LSTMCell(4, 5), (2, 4), 20 * 9),
    "batch norm, activation, pooling": (nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2)), (2, 4, 6), 0),
}


def _autocast(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return F.linear(x, w)


@pytest.mark.parametrize("case", CASES)
def test_every_rule_by_hand(case: str) -> None:
    model, size, expected = CASES[case]
    x = torch.zeros(size, dtype=torch.long if isinstance(model, nn.Embedding) else None)
    inputs = (x, torch.zeros(2, 5)) if isinstance(model, nn.Bilinear) else x
    macs = count_macs(model, inputs)
    assert macs.total == expected
    assert macs.uncounted == ()


@pytest.mark.parametrize("frozen", [False, True])
def test_multihead_attention(frozen: bool) -> None:
    model = nn.MultiheadAttention(32, 4, batch_first=True).requires_grad_(not frozen)
    macs = count_macs(model, (torch.zeros(2, 5, 32),) * 3)
    assert macs.total == 4 * 5 * 32 * 32 + 2 * 5 * 5 * 32
    assert macs.by_name()["in_proj_weight"] == (3 * 5 * 32 * 32, 3 * 5 * 32 * 32)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Flatten(), nn.Linear(54, 3)), torch.zeros(2, 3, 5, 5)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2), torch.zeros(2, 4, 7)),
        (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), torch.zeros(2, 5, 16)),
    ],
)
def test_agrees_with_torch(model: nn.Module, x: torch.Tensor) -> None:
    with FlopCounterMode(display=False) as flops:
        model.train()(x)
    assert count_macs(model, x).total * 2 * len(x) == flops.get_total_flops()


def test_effective_counts_the_zeros_of_the_weight() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 4))
    with torch.no_grad():
        model[0].weight.view(-1)[:100] = 0
        model[2].weight[1:] = 0
    counts = count_macs(model, torch.zeros(2, 3, 4, 4)).by_name()
    assert counts == {"0.weight": (16 * 216, 16 * 116), "2.weight": (512, 128)}


def test_a_slice_meets_its_own_zeros() -> None:
    model = Fn(lambda x, w: (F.linear(x, w[:2]), F.linear(x, w[2:].double().float())))
    with torch.no_grad():
        model.w[:2] = 0
    assert [op.effective for op in count_macs(model, torch.zeros(1, 4)).ops] == [0, 8]


def test_masks_and_reparametrised_weights_are_followed() -> None:
    pruned = nn.Linear(4, 4)
    prune.l1_unstructured(pruned, "weight", 0.75)
    (op,) = count_macs(pruned, torch.zeros(2, 4)).ops
    assert (op.parameter, op.dense, op.effective) == ("weight_orig", 16, 4)
    (op,) = count_macs(parametrizations.weight_norm(nn.Linear(4, 4)), torch.zeros(2, 4)).ops
    assert (op.parameter, op.dense, op.effective) == (None, 16, 16)  # two parameters make the weight


def test_a_tied_weight_counts_at_each_use_under_its_first_name() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    macs = count_macs(model, torch.zeros(2, 4))
    assert [op.name for op in macs.ops] == ["0.weight", "0.weight"]
    assert macs.by_name() == {"0.weight": (32, 32)}


def test_an_operation_without_a_rule_is_named() -> None:
    model = Fn(lambda x, w: torch.cdist(x, w) + torch.chain_matmul(x, w, w))
    with pytest.warns(UserWarning, match="aten::cdist, aten::chain_matmul"):
        macs = count_macs(model, torch.zeros(2, 4))
    assert macs.uncounted == ("aten::cdist", "aten::chain_matmul")


def test_inputs_by_keyword() -> None:
    class Two(nn.Linear):
        def forward(self, *, first: torch.Tensor, flag: bool) -> torch.Tensor:
            return super().forward(first) if flag else first

    assert count_macs(Two(4, 3), {"first": torch.zeros(5, 4), "flag": True}).total == 12


def test_transformers_models_by_hand() -> None:
    transformers = pytest.importorskip("transformers")
    d, hidden, t, vocabulary = 16, 32, 6, 50
    ids = {"input_ids": torch.ones(2, t, dtype=torch.long)}
    sizes = {"vocab_size": vocabulary, "hidden_size": d, "num_hidden_layers": 2, "intermediate_size": hidden}
    bert = transformers.BertModel(transformers.BertConfig(**sizes, num_attention_heads=2))
    block = 4 * t * d * d + 2 * t * t * d + 2 * t * d * hidden
    assert count_macs(bert, ids).total == 2 * block + d * d
    config = transformers.LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)
    block = 3 * t * d * d + 2 * t * t * d + 3 * t * d * hidden  # half as many keys and values as queries
    macs = count_macs(transformers.LlamaForCausalLM(config), ids)
    parameters = sum(op.dense for op in macs.ops if op.parameter)
    assert parameters == 2 * (block - 2 * t * t * d) + t * d * vocabulary
    assert sum(op.dense for op in macs.ops if "attention" in op.op) == 2 * 2 * t * t * d
