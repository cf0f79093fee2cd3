from __future__ import annotations

import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from secateur.core.errors import FormatError
from secateur.training.data import Data, load_data
from secateur.training.data import cifar10 as module
from secateur.training.data._cifar_pickle import read_python_batch
from secateur.training.data.cifar10 import BATCHES, crop_and_flip

N = 4  # pictures a batch in these tests: a sheet of 2×2
RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (6 * N, 3, 32, 32), dtype=np.uint8)
LABELS = RANDOM.randint(0, 10, 6 * N).astype(np.uint8)


@pytest.fixture(autouse=True)
def _small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "cifar10" not in request.fixturenames:
        monkeypatch.setattr(module, "PER_BATCH", N)
        monkeypatch.setattr(module, "VALIDATION", 3)


def _python2_batch(data: bytes, labels: list[int]) -> bytes:
    """The opcodes that Python 2's cPickle wrote: byte strings, and an array through ``_reconstruct``."""
    text = lambda s: b"U" + bytes([len(s)]) + s  # noqa: E731
    number = lambda i: b"J" + struct.pack("<i", i)  # noqa: E731
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") + b"NNN" + number(-1) * 2 + b"K\x00tb"
    shape = b"(" + number(len(labels)) + number(3072) + b"t"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    array += b"(K\x01" + shape + dtype + b"\x89" + b"T" + struct.pack("<i", len(data)) + data + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([i]) for i in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


def _write(folder: Path, layout: str) -> Path:
    for i, name in enumerate(BATCHES):
        images, labels = IMAGES[i * N : (i + 1) * N], LABELS[i * N : (i + 1) * N]
        if layout == "binary":
            (folder / f"{name}.bin").write_bytes(np.concatenate([labels[:, None], images.reshape(N, -1)], 1).tobytes())
        elif layout == "python 2":
            (folder / name).write_bytes(_python2_batch(images.tobytes(), labels.tolist()))
        elif layout == "python 3":
            batch = {"data": images.reshape(N, -1).copy(), "labels": labels.tolist()}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=4))
        else:
            sheet = images.reshape(2, 2, 3, 32, 32).transpose(0, 3, 1, 4, 2).reshape(64, 64, 3)
            Image.fromarray(sheet).save(folder / f"{name}.webp", lossless=True)
    if layout == "webp":
        (folder / "labels.u8").write_bytes(LABELS.tobytes())
    return folder


@pytest.mark.parametrize("layout", ["binary", "python 2", "python 3", "webp"])
def test_every_layout_gives_the_same_pictures(nowhere: Path, layout: str) -> None:
    data = load_data("cifar10", _write(nowhere, layout))
    assert (len(data.train), len(data.validation), len(data.test)) == (17, 3, 4)
    assert np.array_equal(data.test.inputs.numpy(), IMAGES[5 * N :])
    assert data.test.targets.tolist() == LABELS[5 * N :].tolist()
    learnt = torch.cat([data.train.inputs, data.validation.inputs]).numpy()
    assert sorted(x.tobytes() for x in learnt) == sorted(x.tobytes() for x in IMAGES[: 5 * N])


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("pwned"),)  # type: ignore[return-value]


def test_a_pickle_that_names_other_code_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "batch"
    for raw in (
        pickle.dumps({"data": _Evil(), "labels": []}),
        b"cos\nsystem\n(S'touch pwned'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
    ):
        path.write_bytes(raw)
        with pytest.raises(FormatError, match=r"is not a CIFAR python batch.*it names"):
            read_python_batch(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "batch",
    [
        {"data": np.zeros((1, 3072), dtype=object), "labels": [0]},
        {"data": np.zeros((1, 3072), dtype=np.float32), "labels": [0]},
        {"data": np.zeros((1, 3071), dtype=np.uint8), "labels": [0]},
        {"data": "text", "labels": [0]},
        {"labels": [0]},
        ["data"],
    ],
)
def test_pickles_of_other_things_are_refused(tmp_path: Path, batch: object) -> None:
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(batch, protocol=4))
    with pytest.raises(FormatError, match="is not a CIFAR python batch"):
        read_python_batch(path)


def test_a_memo_index_cannot_reserve_memory(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")
    with pytest.raises(FormatError, match="memo index 2147483647"):
        read_python_batch(path)


def test_stand_ins_cannot_be_changed_by_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "batch"
    state = b"}S'x'\nK\x01s"  # {'x': 1}
    for target in (b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n"):
        for attack in (target + state + b"b.", target + b"(N" + state + b"tb."):
            path.write_bytes(b"\x80\x02" + attack)
            assert pickletools.genops(attack)
            with pytest.raises(FormatError):
                read_python_batch(path)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_no_damage_crashes_the_pickle_reader(tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes) -> None:
    raw = _python2_batch(IMAGES[0].tobytes(), [7])
    at = at if at < 120 else len(raw) - (at - 119)
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(raw[:at] + put + raw[at + len(put) :])
    try:
        images, labels = read_python_batch(path)
    except FormatError:
        return
    assert images.shape[1:] == (3, 32, 32)
    assert labels.ndim == 1


@pytest.mark.parametrize(
    ("layout", "file", "keep", "says"),
    [
        ("binary", "data_batch_3.bin", -1, "must have 12292 bytes"),
        ("python 3", "data_batch_2", -100, "is not a CIFAR python batch"),
        ("webp", "data_batch_1.webp", 300, "is not a whole WebP picture"),
        ("webp", "test_batch.webp", 3, "is not a whole WebP picture"),
        ("webp", "labels.u8", -1, "must have 24 labels of one byte; got 23"),
    ],
)
def test_truncated_files_are_one_sentence(nowhere: Path, layout: str, file: str, keep: int, says: str) -> None:
    _write(nowhere, layout)
    path = nowhere / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FormatError, match=says):
        load_data("cifar10", nowhere)


def test_other_sizes_and_labels_are_refused(nowhere: Path) -> None:
    _write(nowhere, "webp")
    (nowhere / "labels.u8").write_bytes(b"\x0a" * 24)
    with pytest.raises(FormatError, match="labels must be from 0 to 9; got 10"):
        load_data("cifar10", nowhere)
    (nowhere / "labels.u8").write_bytes(LABELS.tobytes())
    Image.new("RGB", (32, 64)).save(nowhere / "data_batch_1.webp", lossless=True)
    with pytest.raises(FormatError, match="64×64 pixels; got 32×64"):
        load_data("cifar10", nowhere)


def test_augmentation_is_a_shifted_and_maybe_mirrored_picture() -> None:
    x = torch.from_numpy(IMAGES[:16])
    y = crop_and_flip(x, torch.Generator().manual_seed(1))
    assert y.dtype == torch.uint8
    assert torch.equal(y, crop_and_flip(x, torch.Generator().manual_seed(1)))
    assert not torch.equal(y, crop_and_flip(x, torch.Generator().manual_seed(2)))
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    for picture, source in zip(y, padded, strict=True):
        crops = [source[:, i : i + 32, j : j + 32] for i in range(9) for j in range(9)]
        assert any(torch.equal(picture, c) or torch.equal(picture, c.flip(2)) for c in crops)


def test_augmentation_draws_every_shift_and_both_sides() -> None:
    x = torch.zeros(9000, 1, 11, 11, dtype=torch.uint8)
    x[:, 0, 5, 4] = 1  # one lit pixel, off the middle column: it lands in columns 0 to 8, or mirrored in 2 to 10
    at = crop_and_flip(x, torch.Generator().manual_seed(0)).flatten(1).argmax(1)
    rows, columns = (at // 11).bincount(minlength=11).tolist(), (at % 11).bincount(minlength=11).tolist()
    assert rows[0] == rows[10] == 0
    assert all(900 < n < 1100 for n in rows[1:10])
    assert all(430 < n < 570 for n in columns[:2] + columns[9:])
    assert all(900 < n < 1100 for n in columns[2:9])


@pytest.mark.data
def test_real_cifar10(cifar10: Data) -> None:
    assert (len(cifar10.train), len(cifar10.validation), len(cifar10.test)) == (45_000, 5_000, 10_000)
    assert cifar10.test.targets.bincount().tolist() == [1000] * 10
    mean = torch.cat([cifar10.train.inputs, cifar10.validation.inputs]).float().mean((0, 2, 3)) / 255
    torch.testing.assert_close(mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-4, rtol=0)
    x = cifar10.prepare(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    torch.testing.assert_close(x, torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))
