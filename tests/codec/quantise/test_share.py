from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secateur import Share, compress, load
from secateur.codec.quantise import entropy_bytes, sharing_ratio, size_model
from secateur.core.errors import ModelError, RecipeError

shapes = st.sampled_from([(0,), (1,), (7,), (4, 6), (3, 2, 3, 3), (5, 1, 4)])
shares = st.builds(
    Share, conv=st.integers(1, 6), linear=st.none() | st.integers(1, 6), vectors=st.none() | st.integers(1, 4),
    values=st.sampled_from(["kmeans", "uniform"]), start=st.sampled_from(["linear", "density", "random"]),
)  # fmt: skip


@given(shapes, shares, st.floats(0, 1), st.integers(0, 2**31))
def test_what_sharing_promises(shape, share, sparsity, seed):
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) >= sparsity)
    shared = share.quantise("x", tensor)
    bits = share.bits("x", tensor)
    assert (shared.shape, shared.dtype) == (tensor.shape, tensor.dtype)
    assert (shared[tensor == 0] == 0).all(), "what is pruned stays pruned"
    left = shared[tensor != 0]
    if bits == 0:
        assert torch.equal(shared, tensor)
    else:
        assert left.unique().numel() <= 2**bits
    if left.numel():
        assert tensor.min() - 1e-6 <= left.min()
        assert left.max() <= tensor.max() + 1e-6
    assert torch.equal(share.quantise("x", shared), shared), "few values are left as they are"
    order = tensor.flatten().argsort()
    still = tensor.flatten()[order] != 0
    assert (shared.flatten()[order][still].diff() >= 0).all(), "monotone"


def test_bits_by_pattern_by_kind_and_not_at_all():
    share = Share(conv=8, linear=5, layers={"fc3*": 0, "conv1*": 4})
    matrix, kernel, vector = torch.ones(2, 2), torch.ones(2, 2, 3, 3), torch.ones(2)
    assert [share.bits(n, t) for n, t in (("conv1.weight", kernel), ("conv2.weight", kernel), ("conv1.bias", vector))] == [
        4,
        8,
        4,
    ]
    assert [share.bits(n, t) for n, t in (("fc1.weight", matrix), ("fc3.weight", matrix), ("fc1.bias", vector))] == [5, 0, 0]
    assert share.bits("steps", torch.tensor(3)) == 0, "integers are left"


def test_exact_check_12():
    assert sharing_ratio(16, 4) == 3.2
    assert sharing_ratio(16, 4, bits=16) == pytest.approx(16 * 16 / (16 * 2 + 4 * 16))


@pytest.mark.parametrize(
    ("n", "kept", "bits", "expected"), [(235_200, 0.08, 6, 2.78), (30_000, 0.09, 6, 3.31), (1_000, 0.26, 6, 15.3)]
)
def test_exact_check_13(n, kept, bits, expected):
    assert 100 * size_model(n, kept, bits, 5) == pytest.approx(expected, abs=0.05)


def test_the_papers_figure_by_hand():
    """A 4 × 4 matrix and two bits (figure 3 of the paper): its clusters and its centroids."""
    weights = torch.tensor(
        [[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12], [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]]
    )
    shared = Share(linear=2).quantise("fc", weights)
    for where, centroid in (((0, 0), 2.0), ((0, 1), -1.0), ((0, 2), 1.5)):
        assert float(shared[where]) == pytest.approx(centroid, abs=5e-3)
    assert shared[0, 0] == shared[1, 3] == shared[2, 1] == shared[3, 0]
    assert shared[0, 3] == shared[1, 0] == shared[1, 1], "what is left near zero is shared, what is zero is not"
    assert shared[2, 2] == shared[3, 1] == 0


def test_uniform_values_by_hand():
    shared = Share(linear=2, values="uniform").quantise("fc", torch.tensor([[-1.0, 0.0, 0.9, 1.4, 2.2, 5.0]]))
    assert shared.tolist() == [[-1.0, 0.0, 1.0, 1.0, 3.0, 5.0]]  # −1, 1, 3, 5


@given(shares)
def test_files_both_ways(share):
    assert Share.from_dict(share.to_dict()) == share == Share.from_dict(share.to_dict(minimal=True))
    assert hash(share) == hash(Share.from_dict(share.to_dict()))


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [({"conv": 0}, "share: conv must be ≥ 1 and ≤ 16; got 0"), ({"linear": 2.5}, "share: linear must be a whole number"),
     ({"layers": {"a": 17}}, "share: layers must be ≥ 0 and ≤ 16; got 17"),
     ({"values": "fixed"}, "share: values must be one of kmeans, uniform, grid; got 'fixed'"),
     ({"start": "forgy"}, "share: start must be one of linear, density, random; got 'forgy'")],
)  # fmt: skip
def test_refuses(parts, sentence):
    with pytest.raises(RecipeError, match=sentence):
        Share(**parts)


def test_a_broken_weight_is_named():
    with pytest.raises(
        ModelError, match=r"'fc.weight' holds NaN or infinity, which belongs to no shared value; mend it, or give it 0 bits"
    ):
        Share(linear=1).quantise("fc.weight", torch.tensor([[1.0, 2.0, float("nan")]]))
    with pytest.raises(RecipeError, match="share has no parameter 'bit'"):
        Share.from_dict({"bit": 3})


@pytest.mark.parametrize("coder", ["range", "rans", "huffman", "none"])
def test_compress_shares_by_it_and_keeps_every_bit(tmp_path, coder):
    torch.manual_seed(0)
    model, share = torch.nn.Sequential(torch.nn.Linear(40, 30), torch.nn.Linear(30, 5)), Share(linear=3, vectors=2)
    model[0].weight.data[model[0].weight.abs() < 0.1] = 0
    before = {n: p.clone() for n, p in model.state_dict().items()}
    path = compress(model, tmp_path / "m.safetensors", share=share, coder=coder)
    again = load(path, torch.nn.Sequential(torch.nn.Linear(40, 30), torch.nn.Linear(30, 5)))
    for name, found in again.state_dict().items():
        assert torch.equal(model.state_dict()[name], before[name]), "the model is as it was"
        assert torch.equal(found, share.quantise(name, before[name]))
    assert path.stat().st_size < compress(model, tmp_path / "n.safetensors", coder=coder).stat().st_size


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, -3.0]), min_size=1, max_size=200))
def test_shannons_bound_by_counting(entries):
    tensor = torch.tensor(entries)
    n, left = len(entries), [e for e in entries if e]

    def h(counts):
        return sum(c * math.log2(sum(counts) / c) for c in counts if c)

    counts = [left.count(v) for v in {*left}]
    values = min(32 * len(left), h(counts) + 32 * len(counts))
    assert entropy_bytes(tensor) == pytest.approx((h([len(left), n - len(left)]) + values) / 8)
