from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from secateur.codec.quantise import STARTS, centroids, kmeans, nearest
from secateur.core.errors import ModelError

values = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=200).map(torch.tensor)
coarse = st.lists(st.integers(-3, 3), min_size=1, max_size=60).map(lambda v: torch.tensor(v, dtype=torch.float32))
starts = st.sampled_from(STARTS)


@given(values | coarse, st.integers(1, 20), starts)
def test_lloyds_conditions(values, k, start):
    """Each value is at its nearest centroid, each centroid is the mean of its values or has none."""
    begin = centroids(values, k, start)
    found = kmeans(values, begin)
    index = nearest(values, found).long()
    wide = values.double()
    distance = (wide[:, None] - found[None, :]).abs()
    assert (distance.gather(1, index[:, None])[:, 0] <= distance.min(1).values + 1e-12).all()
    for i, centroid in enumerate(found.tolist()):
        mine = wide[index == i]
        if len(mine):
            assert centroid == pytest.approx(float(mine.mean()), rel=1e-6, abs=1e-6)
            assert float(mine.min()) <= centroid <= float(mine.max())
    assert (found.diff() >= 0).all()
    assert torch.equal(kmeans(values, found), found), "a fixed point"


@given(values, st.integers(1, 12), starts)
def test_the_error_never_grows(values, k, start):
    def error(codebook):
        return float((values.double() - codebook[nearest(values, codebook).long()]).square().sum())

    begin = centroids(values, k, start)
    errors = [error(kmeans(values, begin, iterations=n)) for n in (0, 1, 2, 5, 1000)]
    assert all(b <= a * (1 + 1e-9) + 1e-9 for a, b in itertools.pairwise(errors))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 16), st.sampled_from(["density", "random"]))
def test_equal_to_sklearn_from_the_same_start(seed, k, start):
    """Of starts that leave no cluster empty: sklearn moves empty clusters, the paper does not say to."""
    drawn = torch.randn(400, generator=torch.Generator().manual_seed(seed))
    begin = centroids(drawn, k, start, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = KMeans(k, init=begin.numpy()[:, None], n_init=1, tol=0, max_iter=10_000, algorithm="lloyd").fit(
            drawn.double().numpy()[:, None]
        )
    ours = kmeans(drawn, begin)
    assert np.allclose(np.sort(theirs.cluster_centers_[:, 0]), ours.numpy(), atol=1e-9)
    order = np.argsort(np.argsort(theirs.cluster_centers_[:, 0]))
    assert (order[theirs.labels_] == nearest(drawn, ours).numpy()).all()


def test_the_starts_by_hand():
    values = torch.tensor([3.0, -1.0, 0.0, 7.0])
    assert centroids(values, 5).tolist() == [-1.0, 1.0, 3.0, 5.0, 7.0]
    assert centroids(values, 2, "density").tolist() == [0.0, 7.0]  # quantiles 1/4 and 3/4 of -1, 0, 3, 7
    drawn = centroids(values, 3, "random", seed=4)
    assert set(drawn.tolist()) < {3.0, -1.0, 0.0, 7.0}
    assert len(set(drawn.tolist())) == 3
    assert torch.equal(drawn, centroids(values, 3, "random", seed=4))
    assert centroids(values, 99, "random").tolist() == [-1.0, 0.0, 3.0, 7.0]


def test_an_empty_cluster_stays_where_it_was():
    """Linear: 0, 5, 10 and 15 for values at both ends; the middle ones have none."""
    values = torch.tensor([0.0, 0.5, 14.5, 15.0])
    assert kmeans(values, centroids(values, 4)).tolist() == [0.25, 5.0, 10.0, 14.75]


def test_a_tie_goes_to_the_lower():
    assert nearest(torch.tensor([0.5]), torch.tensor([0.0, 1.0])).tolist() == [0]
    third = torch.tensor([1 / 3], dtype=torch.float32)  # float32's third is above the middle of 0 and 2/3
    assert float(third) > 1 / 3
    assert nearest(third, torch.tensor([0.0, 2 / 3], dtype=torch.float64)).tolist() == [1]


def test_equal_values_and_one_value():
    assert kmeans(torch.full((5,), 2.0), centroids(torch.full((5,), 2.0), 3)).tolist() == [2.0, 2.0, 2.0]
    assert kmeans(torch.tensor([4.0]), torch.tensor([1.0])).tolist() == [4.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_all_floats(dtype):
    values = torch.tensor([0.0, 1.0, 9.0, 11.0], dtype=dtype)
    assert kmeans(values, centroids(values, 2)).tolist() == [0.5, 10.0]


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [float("inf")], [1.0, float("-inf")]])
def test_refuses_what_has_no_mean(bad):
    with pytest.raises(ModelError, match="k-means needs one finite value or more"):
        kmeans(torch.tensor(bad), torch.tensor([0.0]))
    with pytest.raises(ModelError, match="finite"):
        centroids(torch.tensor(bad), 2)


def test_refuses_unknown_starts():
    with pytest.raises(ModelError, match="linear, density, random; got 2 by 'forgy'"):
        centroids(torch.ones(3), 2, "forgy")
