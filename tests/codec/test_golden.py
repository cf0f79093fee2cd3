"""Files of every version that was ever written must load for ever: these were, and none of them may be written again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from secateur.codec import inspect_file, load, read_metadata

GOLDEN = Path(__file__).with_name("golden")


def numbers(shape: tuple[int, ...], levels: int, one_in: int) -> torch.Tensor:
    """The same numbers on every machine: ``levels`` values, one entry in ``one_in`` not zero."""
    i = torch.arange(torch.Size(shape).numel())
    value = ((i * 7919 + 13) % levels - levels // 2 + 0.5) / 16
    return (value * ((i * 104_729 + i // 7) % 1009 % one_in == 0)).view(shape)


def two_of_four(shape: tuple[int, ...]) -> torch.Tensor:
    """A mask of two in every four neighbours, by turns the first and last, and the two between."""
    i = torch.arange(torch.Size(shape).numel())
    return (((i % 4 == 0) | (i % 4 == 3)) == (i // 4 % 3 == 0)).view(shape)


class Net(nn.Module):
    """Every kind of tensor: shared and not, sparse and dense, of many types, tied, empty, and without an entry left."""

    def __init__(self, filled: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(36, 24)
        self.conv = nn.Conv2d(4, 8, 3)
        self.tied = nn.Linear(36, 24, bias=False)
        self.tied.weight = self.fc.weight
        floats, blocks = numbers((16, 32), 300, 1), (numbers((4, 8), 2, 3) != 0).repeat_interleave(4, 0).repeat_interleave(4, 1)
        others = {
            "halves": numbers((10, 30), 40, 2).half(),
            "brains": numbers((64,), 200, 1).bfloat16(),
            "doubles": numbers((5, 5), 25, 1).double(),
            "steps": torch.tensor(7),
            "small": numbers((9, 16), 5, 4).mul(16).to(torch.int8),
            "flags": numbers((50,), 3, 6) != 0,
            "nothing": torch.zeros(12, 12),
            "empty": torch.zeros(0, 3),
            "blocks": numbers((2, 2), 9, 1).repeat_interleave(8, 0).repeat(1, 40),
            "special": torch.tensor([float("nan"), float("inf"), -float("inf"), 1e-40, -1.0, 3.0]),
            "wide": numbers((64, 96), 8, 9),
            "floats": numbers((60, 50), 2999, 1),
            "pairs": floats * two_of_four((16, 32)),
            "squares": blocks * floats,
        }
        for name, value in others.items():
            self.register_buffer(name, value if filled else torch.zeros_like(value))
        with torch.no_grad():
            self.fc.weight.copy_(numbers((24, 36), 8, 9) if filled else torch.ones(24, 36))
            self.fc.bias.copy_(numbers((24,), 999, 1))
            self.conv.weight.copy_(numbers((8, 4, 3, 3), 500, 2) if filled else torch.ones(8, 4, 3, 3))
            self.conv.bias.copy_(numbers((8,), 5, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tied(x) + self.fc(x)


class Shrunken(nn.Sequential):
    """What ``shrink_`` took units 1 and 4 from."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(numbers(tuple(p.shape), 97 + i, 1))


@pytest.mark.parametrize("name", ["version-1", "version-3-range", "version-3-rans", "version-3-huffman", "version-3-none"])
def test_a_file_of_old(name: str) -> None:
    path = GOLDEN / f"{name}.safetensors"
    found, expected = load(path, Net()).state_dict(), Net(filled=True).state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key].nan_to_num(nan=5.0), value.nan_to_num(nan=5.0)), key
    rows = {r.name: r for r in inspect_file(path)}
    assert rows.keys() == expected.keys()
    assert rows["nothing"].nonzero == 0
    assert rows["tied.weight"].layout == "= fc.weight"
    assert read_metadata(path) == {"note": "gölden"}


@pytest.mark.parametrize("name", ["version-2", "version-3-shrunken"])
def test_a_shrunken_model_of_old(name: str) -> None:
    dense = Shrunken()
    found = load(GOLDEN / f"{name}.safetensors", Shrunken())
    left = [0, 2, 3, 5]
    assert (found[0].out_features, found[2].in_features) == (4, 4)
    assert torch.equal(found[0].weight, dense[0].weight[left])
    assert torch.equal(found[2].weight, dense[2].weight[:, left])


def test_none_is_missing_and_all_are_small() -> None:
    files = sorted(GOLDEN.glob("*.safetensors"))
    assert len(files) == 7
    assert sum(p.stat().st_size for p in files) < 90_000
