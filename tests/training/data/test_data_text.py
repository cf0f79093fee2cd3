from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from secateur.core.errors import DataError, FormatError
from secateur.training.data import Data, load_data
from secateur.training.data.text import from_text, load_text

TEXT = "abcdefghij" * 100


def test_windows_and_their_next_characters() -> None:
    data = from_text(TEXT, name="ten", block_size=8)
    assert (data.classes, data.vocabulary) == (10, "abcdefghij")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [112, 6, 6]  # of 900, 50 and 50
    assert torch.equal(data.train.inputs[1], (torch.arange(8) + 8) % 10)
    assert torch.equal(data.train.targets, (data.train.inputs + 1) % 10)
    assert data.prepare(data.test.inputs).dtype == torch.int64


def test_overlapping_windows_cost_no_memory() -> None:
    data = from_text(TEXT, name="ten", block_size=8, stride=1)
    assert len(data.train) == 892
    assert data.train.inputs.untyped_storage().nbytes() == 8 * 1000


@pytest.mark.parametrize("place", ["input.txt", "text/ten/input.txt", "ten.txt", "ten/input.txt"])
def test_places(nowhere: Path, place: str) -> None:
    path = nowhere / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT)
    assert load_text(nowhere, name="ten", block_size=4).classes == 10


def test_characters_beyond_a_byte() -> None:
    data = from_text("aä€🌱" * 100, name="wide", block_size=2)
    assert data.vocabulary == "aä€🌱"


def test_refusals(nowhere: Path) -> None:
    with pytest.raises(DataError, match="40 characters, too few for a window of 8"):
        from_text("abcd" * 10, name="short", block_size=8)
    with pytest.raises(DataError, match="too few"):
        from_text("", name="empty", block_size=1)
    with pytest.raises(DataError, match="must be ≥ 1; got 0"):
        from_text(TEXT, name="ten", block_size=0)
    with pytest.raises(DataError, match="secateur data fetch tinyshakespeare"):
        load_data("tinyshakespeare", nowhere)
    (nowhere / "input.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match=r"not UTF-8 text .* at byte 0"):
        load_data("tinyshakespeare", nowhere)


@pytest.mark.data
def test_real_tiny_shakespeare(real: Callable[[str], Data]) -> None:
    data = real("tinyshakespeare")
    assert data.classes == 65
    assert data.vocabulary is not None
    assert "".join(data.vocabulary[i] for i in data.train.inputs[0]).startswith("First Citizen:\nBefore we proceed")
    assert len(data.train) == (1003854 - 1) // 128
