from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from secateur.core.errors import ModelError
from secateur.graph.trace import batch_size, split_inputs, trace


def ops(program: torch.export.ExportedProgram) -> list[str]:
    return [str(n.target) for n in program.graph.nodes if n.op == "call_function"]


class Stateful(nn.Module):
    """Counts its calls in a buffer, keeps its input and a list of them, and leaves a new attribute behind."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.bn, self.seen = nn.BatchNorm1d(3), []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.last = x
        self.seen.append(x)
        return self.bn(x)


def test_the_model_is_untouched() -> None:
    model = Stateful().train()
    model.bn.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    identities = [id(t) for t in [*model.parameters(), *model.buffers()]]
    trace(model, torch.randn(4, 3))
    assert (model.training, model.bn.training) == (True, False)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [id(t) for t in [*model.parameters(), *model.buffers()]] == identities
    assert not hasattr(model, "last")
    assert model.seen == []
    assert "forward" not in vars(model)


class HooksItself(nn.Module):
    """Installs a hook at its first call, and remembers in a flag that it did."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.seen = nn.Linear(3, 3), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "hooked"):
            self.layer.register_forward_hook(lambda m, i, o: o + 1)
            self.hooked = True
        return self.layer(x)


def test_hooks_of_a_first_call_are_taken_off_with_the_flag_that_tells_of_them() -> None:
    model, x = HooksItself(), torch.randn(4, 3)
    trace(model, x)
    assert not model.layer._forward_hooks
    torch.testing.assert_close(model(x), model(x))


def test_global_state_is_put_back() -> None:
    filters, fast = list(warnings.filters), torch.backends.mha.get_fastpath_enabled()
    trace(nn.LSTM(3, 4), torch.zeros(2, 3, 3))  # warns of assigned attributes, were it not silenced
    assert warnings.filters == filters
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("batch", [1, 4])
def test_the_batch_stays_open(batch: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 9, 2)).eval()
    module = trace(model, torch.randn(batch, 3, 5, 5)).module()
    x = torch.randn(7, 3, 5, 5)
    torch.testing.assert_close(module(x), model(x))


def test_a_fixed_batch_falls_back_to_the_sizes_given() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(1, 6)

    program = trace(Fixed(), torch.zeros(1, 6))
    assert next(iter(program.graph.nodes)).meta["val"].shape == (1, 6)


def test_frozen_attention_is_not_hidden_in_one_operation() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).requires_grad_(False)
    found = ops(trace(model, torch.zeros(2, 5, 8)))
    assert not any("_native" in op or "encoder_layer" in op for op in found)
    assert found.count("aten.linear.default") == 4


def test_inputs_in_three_forms() -> None:
    class Add(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            return {"sum": a if b is None else a + b}

    x = torch.ones(2, 3)
    assert ops(trace(Add(), x)) == ops(trace(Add(), {"a": x, "b": None})) == []
    assert ops(trace(Add(), (x, x))) == ops(trace(Add(), {"a": x, "b": x})) == ["aten.add.Tensor"]


def test_an_output_that_export_does_not_know_is_left_out() -> None:
    class Cache:
        pass

    class Cached(nn.Linear):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Cache]:
            return super().forward(x), Cache()

    assert ops(trace(Cached(3, 2), torch.zeros(2, 3))) == ["aten.linear.default"]


def test_an_untraceable_model_is_one_sentence() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"Branch cannot be traced by torch.export .*must not branch"):
        trace(Branch(), torch.zeros(2, 3))


def test_inputs_of_no_form_are_refused() -> None:
    with pytest.raises(ModelError, match="got str"):
        split_inputs("x")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="empty batch"):
        batch_size(torch.zeros(0, 3))
    with pytest.raises(ModelError, match="no tensor with a batch"):
        batch_size((torch.tensor(1.0), 3))
    assert batch_size(({"x": [torch.zeros(5, 1)]},)) == 5
