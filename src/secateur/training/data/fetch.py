"""Download a data set into a folder, every file checked against a known checksum (pooch)."""

from __future__ import annotations

import logging
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import DataError, did_you_mean, require
from ._find import cache_folder

__all__ = ["SOURCES", "Source", "fetch"]


@dataclass(frozen=True)
class Source:
    """One file to download: its address, its checksum (``algorithm:hex``), and the members to unpack from it."""

    url: str
    checksum: str
    members: tuple[str, ...] = ()


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": (
        Source(
            f"{_MNIST}train-images-idx3-ubyte.gz",
            "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        Source(
            f"{_MNIST}train-labels-idx1-ubyte.gz",
            "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        Source(
            f"{_MNIST}t10k-images-idx3-ubyte.gz",
            "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        Source(
            f"{_MNIST}t10k-labels-idx1-ubyte.gz",
            "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "cifar10": (
        Source(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
            tuple(f"cifar-10-batches-bin/{batch}" for batch in _BATCHES),
        ),
    ),
    "tinyshakespeare": (
        Source(
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
    ),
}


def fetch(name: str, folder: str | Path | None = None) -> Path:
    """Download a data set's files, unless they are there already and whole.

    Args:
        name: a name in ``SOURCES``.
        folder: where the files go; by default a sub-folder of the user's cache, where ``load_data`` finds them.

    Returns:
        The folder.

    Raises:
        DataError: unknown name, no network, an unwritable folder, or a file with another checksum (it is not kept).
        DependencyError: pooch is not installed.

    Example:
        >>> fetch("digits")
        Traceback (most recent call last):
        ...
        secateur.core.errors.DataError: data set 'digits' is embedded; there is nothing to fetch
    """
    if name == "digits":
        raise DataError("data set 'digits' is embedded; there is nothing to fetch")
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}; {did_you_mean(name, SOURCES)}")
    place = Path(folder) if folder is not None else cache_folder() / name
    for source in SOURCES[name]:
        _download(name, source, place)
    return place


def _download(name: str, source: Source, place: Path) -> None:
    pooch = require("pooch", "train")
    pooch.get_logger().setLevel(logging.WARNING)
    file = source.url.rsplit("/", 1)[-1]
    try:
        archive = Path(pooch.retrieve(source.url, source.checksum, fname=file, path=place))
        for member in source.members:
            _unpack(archive, member, place / Path(member).name)
    except ValueError as e:
        raise DataError(f"data set {name!r}: {source.url} does not have the checksum {source.checksum}; nothing was kept") from e
    except (OSError, tarfile.TarError, KeyError) as e:
        raise DataError(
            f"data set {name!r} could not be fetched from {source.url} into {place} ({type(e).__name__}: {e}); "
            f"mend the network or the folder, or copy the files there by hand and use --data"
        ) from e


def _unpack(archive: Path, member: str, target: Path) -> None:
    """One named member, by content only: no path, link or permission of the archive is obeyed."""
    with tarfile.open(archive) as tar:
        content = tar.extractfile(member)
        if content is None:
            raise KeyError(f"{member} is not a plain file")
        with content, target.open("wb") as out:
            shutil.copyfileobj(content, out)
