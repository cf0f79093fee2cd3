"""``keep_largest`` equals a stable sort, whatever the sizes, ties, infinities and memory layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secateur import DataError
from secateur.core.select import count_removed, keep_largest, keep_within_budget

VALUES = st.one_of(
    st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 1.0, math.inf]), st.floats(-2, 2, width=32), st.floats(allow_nan=False, width=32)
)
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 6))


@st.composite
def tensors(draw):
    """One to four tensors of random shape, type and layout."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        rows, columns = draw(SHAPES)
        values = draw(st.lists(VALUES, min_size=rows * columns, max_size=rows * columns))
        made = torch.tensor(values, dtype=draw(st.sampled_from([torch.float32, torch.float64]))).view(rows, columns)
        layout = draw(st.sampled_from(["contiguous", "transposed", "strided"]))
        if layout == "transposed":
            made = made.t()
        elif layout == "strided":
            made = torch.stack([made, made + 1], -1)[..., 0]
        found.append(made)
    return found


def oracle(scores, keep):
    """A stable sort of everything, largest first: the first of equals stays."""
    flat = np.concatenate([s.double().numpy().reshape(-1) for s in scores])
    best = np.argsort(-flat, kind="stable")[: max(0, keep)]
    mask = np.zeros(flat.size, dtype=bool)
    mask[best] = True
    parts = np.split(mask, np.cumsum([s.numel() for s in scores])[:-1])
    return [torch.from_numpy(p.reshape(tuple(s.shape))) for p, s in zip(parts, scores, strict=True)]


def sources(scores):
    return [lambda s=s: s for s in scores]


@given(tensors(), st.floats(-0.1, 1.1))
def test_it_equals_a_stable_sort(scores, share):
    keep = round(share * sum(s.numel() for s in scores))
    for found, wanted in zip(keep_largest(sources(scores), keep), oracle(scores, keep), strict=True):
        assert torch.equal(found, wanted)


def large(kind, dtype):
    g = torch.Generator().manual_seed(3)
    draw = torch.rand if kind == "uniform" else torch.randn
    sizes = [(1 << 10, 700), (300, 1 << 10), (1 << 16,), (7,)]  # more than the bracketing starts at
    scores = [draw(s, generator=g, dtype=dtype) for s in sizes]
    if kind == "few":
        scores = [s.mul(2).round() for s in scores]
    if kind == "dead":
        scores = [torch.where(s > 0, s, -math.inf) for s in scores]
    if kind == "unlike":  # layers of very different scale: a sample by tensor is a bad guide
        scores = [s * 10.0 ** (6 * i) for i, s in enumerate(scores)]
    if kind == "constant":
        scores = [torch.ones_like(s) for s in scores]
    scores[0] = scores[0].t()
    return scores


@pytest.mark.parametrize("kind", ["normal", "uniform", "few", "dead", "unlike", "constant"])
def test_it_equals_a_stable_sort_of_a_million_and_more(kind):
    scores = large(kind, torch.float64 if kind == "uniform" else torch.float32)
    total = sum(s.numel() for s in scores)
    assert total > 1 << 20
    for keep in (1, total // 50, total // 2, total - 3):
        for found, wanted in zip(keep_largest(sources(scores), keep), oracle(scores, keep), strict=True):
            assert torch.equal(found, wanted)


def test_the_first_of_equals_stays():
    a, b = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 3.0])
    assert [m.tolist() for m in keep_largest(sources([a, b]), 3)] == [[True, True, False], [False, True]]


@pytest.mark.parametrize("select", [lambda s: keep_largest(s, 2), lambda s: keep_within_budget(s, [1, 1], 0.5)])
def test_a_score_that_is_no_number_is_refused(select):
    with pytest.raises(DataError, match="a score is not a number"):
        select(sources([torch.tensor([1.0, 2.0]), torch.tensor([math.nan, 1.0])]))


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_the_count_is_the_nearest_whole_number(total, sparsity):
    assert abs(count_removed(sparsity, total) - sparsity * total) <= 0.5


@given(tensors(), st.floats(0, 1), st.data())
def test_a_budget_is_met_as_nearly_as_any_prefix_can(scores, sparsity, data):
    costs = [data.draw(st.integers(1, 9)) for _ in scores]
    keep = keep_within_budget(sources(scores), costs, sparsity)
    removed = sum(c * int((~k).sum()) for c, k in zip(costs, keep, strict=True))
    entries = [(float(v), -i, c) for i, (v, c) in enumerate(flat_costs(scores, costs))]
    order = sorted(entries)  # worst first, the last of equals first
    prefixes = np.cumsum([0, *(c for v, _, c in order if v < math.inf)])
    total = sum(c * s.numel() for c, s in zip(costs, scores, strict=True))
    assert abs(removed - sparsity * total) == pytest.approx(min(abs(prefixes - sparsity * total)))
    count = sum(int((~k).sum()) for k in keep)
    gone = {-i for _, i, _ in order[:count]}
    assert gone == set(np.flatnonzero(~np.concatenate([k.numpy().reshape(-1) for k in keep])).tolist())


def flat_costs(scores, costs):
    return [(v, c) for s, c in zip(scores, costs, strict=True) for v in s.reshape(-1).tolist()]


def test_units_that_must_stay_are_no_part_of_a_budget():
    keep = keep_within_budget(sources([torch.tensor([1.0, math.inf, math.inf])]), [1], 1.0)
    assert keep[0].tolist() == [False, True, True]
