"""How often symbols occur."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["counted"]

_CHUNK = 1 << 18


def counted(symbols: Any, alphabet: int) -> Any:
    """How often each symbol below ``alphabet`` occurs, without a copy of all of them as larger numbers.

    Example:
        >>> counted(np.array([2, 0, 2]), 4).tolist()
        [1, 0, 2, 0]
    """
    found = np.zeros(alphabet, dtype=np.int64)
    for i in range(0, len(symbols), _CHUNK):
        found += np.bincount(symbols[i : i + _CHUNK], minlength=alphabet)
    return found
