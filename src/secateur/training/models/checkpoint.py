"""Trained weights from a plain safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...core.errors import DataError, FormatError
from ..data import find

__all__ = ["find_checkpoint", "load_checkpoint"]

M = TypeVar("M", bound=nn.Module)
_OPTIONAL = "num_batches_tracked"  # batch norm before torch 0.4.1 kept no counter, and evaluation uses none


def find_checkpoint(path: str | Path, folder: str | Path | None = None) -> Path:
    """Where a checkpoint lies: as it is said, or beside the data sets (in the folder, ``$SECATEUR_DATA``, the user's cache).

    Args:
        path: a file, or its place there, itself or below ``checkpoints``.
        folder: where to look for data first.

    Raises:
        DataError: it is nowhere.

    Example:
        >>> find_checkpoint("no/such.safetensors")
        Traceback (most recent call last):
        ...
        secateur.core.errors.DataError: checkpoint 'no/such.safetensors' does not exist, here or beside the data sets; give the
        path of a safetensors file, or name the folder that has it with --data or $SECATEUR_DATA
    """
    if Path(path).is_file():
        return Path(path)
    try:
        return find("checkpoints", {"safetensors": (str(path),)}, folder)[1] / path
    except DataError as e:
        raise DataError(
            f"checkpoint {str(path)!r} does not exist, here or beside the data sets; give the path of a safetensors file, or "
            "name the folder that has it with --data or $SECATEUR_DATA"
        ) from e


def load_checkpoint(model: M, path: str | Path) -> M:
    """Load a file's tensors into a model that has exactly those names and shapes; otherwise the model stays as it was.

    Batch norm's counters may be missing from the file.

    Args:
        model: changed in place.
        path: a safetensors file; nothing in it is executed.

    Returns:
        The model.

    Raises:
        DataError: there is no such file.
        FormatError: the file is not whole safetensors, or of another model.

    Example:
        >>> import tempfile, safetensors.torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     safetensors.torch.save_file({"weight": nn.Linear(2, 2).weight.data}, f"{folder}/a.safetensors")
        ...     load_checkpoint(nn.Linear(2, 2, bias=False), f"{folder}/a.safetensors")
        Linear(in_features=2, out_features=2, bias=False)
    """
    if not Path(path).is_file():
        raise DataError(f"checkpoint {str(path)!r} does not exist; give the path of a safetensors file")
    try:
        given = load_file(path)
    except (SafetensorError, ValueError, OSError) as e:
        raise FormatError(f"checkpoint {str(path)!r} is not a whole safetensors file ({e}); copy it again") from e
    misfits = _misfits(model.state_dict(), given)
    if misfits:
        what = "; ".join(misfits)
        raise FormatError(
            f"checkpoint {str(path)!r} is not of this {type(model).__name__}: {what}; build the model it was saved from"
        )
    model.load_state_dict({**model.state_dict(), **given})
    return model


def _misfits(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> list[str]:
    shapes = [
        f"{name} is {tuple(given[name].shape)} in the file and {tuple(tensor.shape)} in the model"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    lists = {
        "the file lacks": [name for name in wanted if name not in given and not name.endswith(_OPTIONAL)],
        "the model lacks": [name for name in given if name not in wanted],
        "": shapes,
    }
    return [f"{verb} {names[0]}{_more(names)}".strip() for verb, names in lists.items() if names]


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
