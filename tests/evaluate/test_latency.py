from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from secateur.core.errors import ModelError
from secateur.evaluate.latency import compare_latency, latency


class Spy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[bool, bool, int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append((self.training, torch.is_inference_mode_enabled(), torch.get_num_threads()))
        return x


def test_modes_and_threads_hold_inside_and_are_put_back() -> None:
    model, before = Spy().train(), torch.get_num_threads()
    found = latency(model, {"x": torch.zeros(1)}, threads=2, warmup=3, seconds=0, min_repeats=5)
    assert set(model.calls) == {(False, True, 2)}
    assert (len(model.calls), found.repeats, found.threads, found.device) == (8, 5, 2, "cpu")
    assert model.training
    assert torch.get_num_threads() == before


def test_state_is_put_back_after_an_error() -> None:
    before = torch.get_num_threads()
    model = nn.Linear(3, 2)
    with pytest.raises(RuntimeError):
        latency(model, torch.zeros(1, 4), threads=before + 1)
    assert (model.training, torch.get_num_threads()) == (True, before)


def test_candidates_take_turns() -> None:
    order: list[str] = []
    found = compare_latency({n: lambda n=n: order.append(n) for n in "ab"}, warmup=1, seconds=0, min_repeats=3)
    assert "".join(order) == "ab" * 4
    assert list(found.latencies) == ["a", "b"]


def test_the_median_is_of_the_call() -> None:
    found = compare_latency({"slow": lambda: time.sleep(0.02), "fast": lambda: time.sleep(0.005)}, seconds=0, warmup=0)
    assert 20 <= found.latencies["slow"].median_ms < 40
    assert found.speedups["slow"] == 1
    assert 1.5 < found.speedups["fast"] < 8


@pytest.mark.parametrize("bad", [{"min_repeats": 0}, {"warmup": -1}, {"seconds": -1}, {"threads": 0}])
def test_arguments_out_of_range(bad: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="latency needs"):
        compare_latency({"a": lambda: None}, **bad)
    with pytest.raises(ModelError, match="at least one"):
        compare_latency({})
