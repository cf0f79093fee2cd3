"""MNIST from its four idx files, gzip or plain."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...core.errors import FormatError
from ._data import Data, Normalise, Split, hold_out
from ._find import find
from ._idx import read_idx

__all__ = ["load_mnist"]

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
LAYOUTS = {
    "gzip": [f"{file}.gz" for file in FILES],
    "plain": list(FILES),
    "torchvision": [f"MNIST/raw/{file}" for file in FILES],
}
_VALIDATION = 5_000


def load_mnist(folder: str | Path | None = None) -> Data:
    """MNIST: 55 000 training, 5 000 validation and 10 000 test pictures of 28×28, as uint8.

    Args:
        folder: looked at before ``$SECATEUR_DATA`` and the user's cache.

    Raises:
        DataError: the files were not found.
        FormatError: a file is corrupt or truncated.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998.
    """
    layout, place = find("mnist", LAYOUTS, folder)
    train_x, train_y, test_x, test_y = (place / file for file in LAYOUTS[layout])
    train, validation = hold_out(*_pair(train_x, train_y), _VALIDATION)
    return Data(
        name="mnist",
        train=train,
        validation=validation,
        test=Split(*_pair(test_x, test_y)),
        classes=10,
        shape=(1, 28, 28),
        prepare=Normalise(mean=(0.1307,), std=(0.3081,)),
    )


def _pair(images: Path, labels: Path) -> tuple[Tensor, Tensor]:
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if len(x) != len(y):
        raise FormatError(f"{images} has {len(x)} pictures but {labels.name} has {len(y)} labels; fetch the set again")
    if x.shape[1:] != (28, 28):
        raise FormatError(f"{images} must hold pictures of 28×28; got {tuple(x.shape[1:])}")
    if len(y) and int(y.max()) > 9:
        raise FormatError(f"{labels} must hold labels from 0 to 9; got {int(y.max())}")
    return x.unsqueeze(1), y.to(torch.int64)
