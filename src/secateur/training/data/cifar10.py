"""CIFAR-10 from its binary batches, its python batches, or lossless WebP sheets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from ...core.errors import FormatError, require
from ._cifar_pickle import read_python_batch
from ._data import Data, Normalise, Split, hold_out
from ._find import find

__all__ = ["crop_and_flip", "load_cifar10"]

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
LAYOUTS = {
    "binary": [f"{b}.bin" for b in BATCHES],
    "python": list(BATCHES),
    "webp": ["labels.u8", *(f"{b}.webp" for b in BATCHES)],
    "cifar-10-batches-bin": [f"cifar-10-batches-bin/{b}.bin" for b in BATCHES],
    "cifar-10-batches-py": [f"cifar-10-batches-py/{b}" for b in BATCHES],
}
PER_BATCH = 10_000
VALIDATION = 5_000


def load_cifar10(folder: str | Path | None = None) -> Data:
    """CIFAR-10: 45 000 training, 5 000 validation and 10 000 test pictures of 3×32×32, as uint8.

    The normalisation is the one the published residual networks were trained with (the ImageNet constants).

    Args:
        folder: looked at before ``$SECATEUR_DATA`` and the user's cache.

    Raises:
        DataError: the files were not found.
        FormatError: a file is corrupt or truncated.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    layout, place = find("cifar10", LAYOUTS, folder)
    files = [place / file for file in LAYOUTS[layout]]
    if layout == "webp":
        batches = _webp_batches(files[0], files[1:])
    else:
        read = _read_binary if files[0].suffix == ".bin" else read_python_batch
        batches = [_checked(read(file), file) for file in files]
    images, labels = (np.concatenate([batch[i] for batch in batches[:5]]) for i in (0, 1))
    train, validation = hold_out(torch.from_numpy(images), torch.from_numpy(labels), VALIDATION)
    test_images, test_labels = batches[5]
    return Data(
        name="cifar10",
        train=train,
        validation=validation,
        test=Split(torch.tensor(test_images), torch.tensor(test_labels)),
        classes=10,
        shape=(3, 32, 32),
        prepare=Normalise(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        augment=crop_and_flip,
    )


def crop_and_flip(inputs: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Every picture of a batch shifted by up to ``padding`` pixels, the rim black, and half of them mirrored.

    Args:
        inputs: ``[b, channels, height, width]``, raw.
        generator: what the shifts and mirrors are drawn from.
        padding: greatest shift, in pixels.

    Example:
        >>> x = torch.ones(8, 3, 32, 32, dtype=torch.uint8)
        >>> crop_and_flip(x, torch.Generator().manual_seed(0)).shape
        torch.Size([8, 3, 32, 32])
    """
    b, _, height, width = inputs.shape
    shift = torch.randint(2 * padding + 1, (2, b, 1), generator=generator, device=generator.device)
    mirror = torch.rand((b, 1), generator=generator, device=generator.device) < 0.5
    shift, mirror = shift.to(inputs.device), mirror.to(inputs.device)
    rows = shift[0] + torch.arange(height, device=inputs.device)
    across = torch.arange(width, device=inputs.device).expand(b, width)
    columns = shift[1] + torch.where(mirror, width - 1 - across, across)
    padded = F.pad(inputs, (padding,) * 4).permute(0, 2, 3, 1)
    batch = torch.arange(b, device=inputs.device)[:, None, None]
    return padded[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _read_binary(path: Path) -> Batch:
    raw = np.fromfile(path, dtype=np.uint8)
    if len(raw) != PER_BATCH * 3073:
        raise FormatError(f"{path} must have {PER_BATCH * 3073} bytes (3073 a picture); got {len(raw)}; fetch it again")
    rows = raw.reshape(PER_BATCH, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _webp_batches(labels_file: Path, sheets: list[Path]) -> list[Batch]:
    labels = np.fromfile(labels_file, dtype=np.uint8).astype(np.int64)
    if len(labels) != PER_BATCH * len(sheets):
        raise FormatError(f"{labels_file} must have {PER_BATCH * len(sheets)} labels of one byte; got {len(labels)}")
    parts = np.split(labels, len(sheets))
    return [_checked((_read_sheet(sheet), part), sheet) for sheet, part in zip(sheets, parts, strict=True)]


def _read_sheet(path: Path) -> npt.NDArray[np.uint8]:
    """The pictures of one square sheet of 32×32 tiles, row by row."""
    image = require("PIL.Image", "train")
    tiles = math.isqrt(PER_BATCH)
    try:
        with image.open(path, formats=["WEBP"]) as sheet:
            if sheet.size != (32 * tiles, 32 * tiles):
                raise FormatError(
                    f"{path} must be a sheet of {32 * tiles}×{32 * tiles} pixels; got {sheet.size[0]}×{sheet.size[1]}"
                )
            pixels = np.asarray(sheet.convert("RGB"))
    except (OSError, SyntaxError, EOFError, image.DecompressionBombError) as e:
        raise FormatError(f"{path} is not a whole WebP picture ({e}); fetch it again") from e
    return pixels.reshape(tiles, 32, tiles, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)


def _checked(batch: Batch, path: Path) -> Batch:
    images, labels = batch
    if not len(images) == len(labels) == PER_BATCH:
        raise FormatError(
            f"{path} must have {PER_BATCH} pictures and labels; got {len(images)} and {len(labels)}; fetch it again"
        )
    if labels.min() < 0 or labels.max() > 9:
        raise FormatError(f"{path}: labels must be from 0 to 9; got {labels.min()} to {labels.max()}")
    return batch
