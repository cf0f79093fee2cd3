from __future__ import annotations

import pytest
import torch
from codec_strategies import bits, positive_zeros, tensors
from hypothesis import given, settings

from secateur.codec import bitmask


@settings(max_examples=200, deadline=None)
@given(tensors())
def test_a_round_trip_is_exact(t: torch.Tensor) -> None:
    packed, values = bitmask.pack(t)
    back = bitmask.unpack(packed, values, tuple(t.shape))
    assert back.dtype == t.dtype
    assert back.shape == t.shape
    assert torch.equal(bits(back), bits(positive_zeros(t)))
    assert packed.numel() == (t.numel() + 7) // 8
    assert values.numel() == bitmask.count(t)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_special_values(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).smallest_normal / 2  # subnormal
    t = torch.tensor([0.0, -0.0, float("nan"), float("inf"), -float("inf"), tiny, -1.0], dtype=dtype)
    packed, values = bitmask.pack(t)
    assert packed.tolist() == [0b1111100]
    assert torch.equal(bits(values), bits(t[2:]))
    assert not torch.signbit(bitmask.unpack(packed, values, (7,))[:2]).any()


def test_subnormals_survive_a_processor_that_flushes_them() -> None:
    t = torch.tensor([1e-40, 0.0])
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    try:
        assert bitmask.kept(t).tolist() == [True, False]
    finally:
        torch.set_flush_denormal(False)


def test_a_transposed_tensor_is_packed_in_its_own_order() -> None:
    t = torch.tensor([[1, 0], [2, 3]]).t()
    assert torch.equal(bitmask.unpack(*bitmask.pack(t), (2, 2)), t)


@pytest.mark.parametrize(
    ("packed", "values", "shape"),
    [([1], [1.0], (9,)), ([1, 0], [1.0], (8,)), ([8], [1.0], (3,)), ([1], [1.0, 2.0], (3,)), ([3], [1.0], (3,))],
)
def test_streams_that_do_not_belong_together(packed: list[int], values: list[float], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="bit"):
        bitmask.unpack(torch.tensor(packed, dtype=torch.uint8), torch.tensor(values), shape)


def test_a_lying_shape_allocates_nothing() -> None:
    with pytest.raises(ValueError, match=r"has .* bytes"):
        bitmask.unpack(torch.zeros(1, dtype=torch.uint8), torch.zeros(0), (10**9, 10**9))
