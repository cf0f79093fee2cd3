"""Character-level text: the next character is the target of every character."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...core.errors import DataError, FormatError
from ._data import Data, Split, tokens
from ._find import find

__all__ = ["from_text", "load_text"]


def load_text(
    folder: str | Path | None = None, *, name: str = "tinyshakespeare", block_size: int = 128, stride: int | None = None
) -> Data:
    """A UTF-8 text as windows of characters: the first 90 % to train, 5 % to validate, the last 5 % to test.

    Looks for ``input.txt``, ``text/<name>/input.txt`` and ``<name>.txt``.

    Args:
        folder: looked at before ``$SECATEUR_DATA`` and the user's cache.
        name: the text's name.
        block_size: characters in a window.
        stride: characters between the starts of two training windows; by default the windows do not overlap.

    Raises:
        DataError: the file was not found, or is too short for one window per split.
        FormatError: the file is not UTF-8.

    Source: A. Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks", 2015 (tiny Shakespeare).
    """
    layouts = {"nested": [f"text/{name}/input.txt"], "file": [f"{name}.txt"], "plain": ["input.txt"]}
    layout, place = find(name, layouts, folder)
    path = place / layouts[layout][0]
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as e:
        raise FormatError(f"{path} is not UTF-8 text ({e.reason} at byte {e.start}); save it as UTF-8") from e
    return from_text(text, name=name, block_size=block_size, stride=stride)


def from_text(text: str, *, name: str, block_size: int = 128, stride: int | None = None) -> Data:
    """The same of a text already in memory.

    Example:
        >>> data = from_text("to be or not to be, " * 20, name="be", block_size=4)
        >>> data.vocabulary, len(data.train), data.shape
        (' ,benort', 89, (4,))
        >>> x, y = data.train[0]
        >>> "".join(data.vocabulary[i] for i in x), "".join(data.vocabulary[i] for i in y)
        ('to b', 'o be')
    """
    if block_size < 1 or (stride is not None and stride < 1):
        raise DataError(f"text {name!r}: block_size and stride must be ≥ 1; got {block_size} and {stride}")
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    vocabulary, numbers = np.unique(codes, return_inverse=True)
    stream = torch.from_numpy(numbers.astype(np.int64))
    first, second = int(0.9 * len(stream)), int(0.95 * len(stream))
    if min(first, second - first, len(stream) - second) <= block_size:
        raise DataError(
            f"text {name!r} has {len(stream)} characters, too few for a window of {block_size} in each of its splits "
            f"(90 %, 5 %, 5 %); give a longer text or a smaller block_size"
        )
    return Data(
        name=name,
        train=_windows(stream[:first], block_size, stride or block_size),
        validation=_windows(stream[first:second], block_size, block_size),
        test=_windows(stream[second:], block_size, block_size),
        classes=len(vocabulary),
        shape=(block_size,),
        prepare=tokens,
        vocabulary="".join(map(chr, vocabulary)),
    )


def _windows(stream: Tensor, size: int, stride: int) -> Split:
    # unfold makes views: overlapping windows cost no memory
    return Split(stream[:-1].unfold(0, size, stride), stream[1:].unfold(0, size, stride))
