from __future__ import annotations

import pickle

import pytest
import torch

from secateur.core.errors import DataError
from secateur.training.data import Data, Normalise, Split, load_data
from secateur.training.data._data import hold_out


def test_split_needs_one_target_per_input() -> None:
    with pytest.raises(DataError, match="3 inputs, 2 targets"):
        Split(torch.zeros(3, 1), torch.zeros(2))


def test_data_needs_the_shape_it_names() -> None:
    split = Split(torch.zeros(3, 4), torch.zeros(3))
    with pytest.raises(DataError, match=r"train split must have shape \(5,\); got \(4,\)"):
        Data(name="mine", train=split, validation=split, test=split, classes=2, shape=(5,))


def test_normalise_is_per_channel() -> None:
    x = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    y = Normalise(mean=(0.0, 0.2, 0.5), std=(1.0, 1.0, 0.25))(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.flatten(), torch.tensor([0.0, 0.0, 2.0]))


def test_hold_out_parts_the_set_the_same_way_every_time() -> None:
    x = torch.arange(10)
    train, validation = hold_out(x, x * 2, 3)
    assert validation.inputs.tolist() == [0, 3, 5]  # RandomState(0).permutation(10) ends in 3 0 5
    assert sorted(train.inputs.tolist() + validation.inputs.tolist()) == list(range(10))
    assert torch.equal(train.targets, train.inputs * 2)


def test_digits_are_split_and_normalised_and_picklable() -> None:
    digits = load_data("digits")
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1257, 180, 360)
    x = digits.prepare(digits.train.inputs)
    assert abs(float(x.mean())) < 0.01
    assert abs(float(x.std()) - 1) < 0.01
    assert digits.augment is None
    assert sorted(digits.test.targets.unique().tolist()) == list(range(10))
    again = pickle.loads(pickle.dumps(digits))
    assert torch.equal(again.test.inputs, load_data("digits").test.inputs)
    whole = torch.cat([part.inputs for part in (digits.train, digits.validation, digits.test)])
    assert int(whole.to(torch.int64).sum()) == 561718  # every picture once
