"""The 1797 hand-written digits of 8×8 pixels that scikit-learn brings along: no file, no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ...core.errors import require
from ._data import Data, Normalise, hold_out

__all__ = ["load_digits"]


def load_digits(folder: str | Path | None = None) -> Data:
    """The embedded digits: 1257 to train, 180 to validate, 360 to test, always the same ones.

    Args:
        folder: taken so that every set is loaded alike; not used.

    Raises:
        DependencyError: scikit-learn is not installed.

    Example:
        >>> digits = load_digits()
        >>> digits.classes, digits.train.inputs.dtype, digits.prepare(digits.test.inputs[:2]).shape
        (10, torch.uint8, torch.Size([2, 1, 8, 8]))

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test part).
    """
    x, y = require("sklearn.datasets", "train").load_digits(return_X_y=True)
    inputs = torch.from_numpy(x.astype(np.uint8)).view(-1, 1, 8, 8)
    targets = torch.from_numpy(y.astype(np.int64))
    rest, test = hold_out(inputs, targets, 360)
    train, validation = hold_out(*rest[:], 180)
    normalise = Normalise(mean=(0.3053,), std=(0.3760,), scale=16.0)
    return Data(
        name="digits",
        train=train,
        validation=validation,
        test=test,
        classes=10,
        shape=(1, 8, 8),
        prepare=normalise,
    )
