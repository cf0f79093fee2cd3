from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secateur.evaluate.definitions import (
    compression_ratio,
    file_ratio,
    measured_speedup,
    theoretical_speedup,
    top_k_accuracy,
)


@pytest.mark.parametrize("ratio", [compression_ratio, file_ratio, measured_speedup, theoretical_speedup])
def test_ratios(ratio) -> None:
    assert ratio(12, 3) == 4.0
    assert ratio(12, 0) == math.inf
    assert ratio(0, 0) == 1.0
    with pytest.raises(ValueError, match="at least 0"):
        ratio(1, -1)


@given(st.integers(1, 8), st.integers(1, 12), st.data())
def test_top_k_is_that_of_a_stable_sort(n: int, classes: int, data: st.DataObject) -> None:
    values = st.integers(-2, 2)  # few values, so many ties
    scores = torch.tensor(data.draw(st.lists(st.lists(values, min_size=classes, max_size=classes), min_size=n, max_size=n)))
    targets = torch.tensor(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    order = scores.float().argsort(dim=1, descending=True, stable=True)
    for k, accuracy in top_k_accuracy(scores.float(), targets, ks=(1, 3, classes)).items():
        assert accuracy == pytest.approx((order[:, :k] == targets[:, None]).any(1).double().mean().item())


def test_a_network_that_diverged_is_wrong() -> None:
    assert top_k_accuracy(torch.full((3, 4), math.nan), torch.tensor([0, 1, 2]), ks=(1, 4)) == {1: 0.0, 4: 0.0}


@pytest.mark.parametrize(
    ("scores", "targets", "k"),
    [((2, 3), [0, 3], 1), ((2, 3), [0], 1), ((2,), [0, 0], 1), ((0, 3), [], 1), ((1, 3), [-1], 1), ((1, 3), [0], 0)],
)
def test_what_does_not_fit_is_refused(scores: tuple[int, ...], targets: list[int], k: int) -> None:
    with pytest.raises(ValueError, match=r"top_k_accuracy takes|k must be"):
        top_k_accuracy(torch.zeros(scores), torch.tensor(targets, dtype=torch.long), ks=(k,))
