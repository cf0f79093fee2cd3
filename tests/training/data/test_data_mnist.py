from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.errors import FormatError
from secateur.training.data import Data, load_data
from secateur.training.data import mnist as mnist_module
from secateur.training.data._idx import read_idx
from secateur.training.data.mnist import FILES


def _idx(*shape: int, body: bytes | None = None) -> bytes:
    size = torch.Size(shape).numel()
    data = bytes(i % 10 for i in range(size)) if body is None else body
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + data


def _write(folder: Path, counts: tuple[int, int, int, int] = (20, 20, 6, 6), suffix: str = "") -> Path:
    for name, n in zip(FILES, counts, strict=True):
        raw = _idx(n, 28, 28) if "images" in name else _idx(n)
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(raw, 1, mtime=0) if suffix else raw)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_plain_and_gzip_load_alike(nowhere: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(mnist_module, "_VALIDATION", 4)
    data = load_data("mnist", _write(nowhere, suffix=suffix))
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 4, 6)
    assert data.test.inputs[0, 0, 0, :4].tolist() == [0, 1, 2, 3]
    assert data.test.targets.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.test.targets.dtype == torch.int64


def test_torchvision_folder_loads(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_module, "_VALIDATION", 4)
    (nowhere / "MNIST/raw").mkdir(parents=True)
    _write(nowhere / "MNIST/raw")
    assert len(load_data("mnist", nowhere).test) == 6


def test_counts_must_agree(nowhere: Path) -> None:
    with pytest.raises(FormatError, match="20 pictures but train-labels-idx1-ubyte has 19 labels"):
        load_data("mnist", _write(nowhere, (20, 19, 6, 6)))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "got nothing"),
        (b"\x00\x00\x0d\x03" + b"\x00" * 12, "must begin with 00000803"),
        (_idx(2, 2, 2)[:10], "header has 10 of 16 bytes"),
        (_idx(2, 2, 2)[:-1], "got only 7"),
        (_idx(2, 2, 2) + b"x", "got more"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "more than the 1073741824 accepted"),
    ],
)
def test_corrupt_idx_is_one_sentence(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=says):
        read_idx(path, 3)


@pytest.mark.parametrize(
    "raw", [b"not gzip", gzip.compress(_idx(2, 2, 2), mtime=0)[:-4], b"\x1f\x8b\x08\x00" + b"\x00" * 6 + b"\xff" * 9]
)
def test_corrupt_gzip_is_one_sentence(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match="is not a whole gzip file"):
        read_idx(path, 3)


@given(st.binary(max_size=40), st.booleans())
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, tail: bytes, honest: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes((b"\x00\x00\x08\x01" if honest else b"") + tail)
    try:
        labels = read_idx(path, 1)
    except FormatError:
        return
    assert labels.numpy().tobytes() == tail[4:]


@pytest.mark.data
def test_real_mnist(real: Callable[[str], Data]) -> None:
    data = real("mnist")
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)
    assert data.test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert abs(float(data.prepare(data.train.inputs[:5000]).mean())) < 0.02
