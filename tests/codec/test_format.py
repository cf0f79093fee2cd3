"""docs/format.md says enough: a reader in plain Python that was written from it reads every golden file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from plain_reader import read
from test_golden import GOLDEN, Net

from secateur.codec import compress, load
from secateur.codec.container import DTYPES


def patterns(t: torch.Tensor) -> list[int]:
    raw = t.contiguous().reshape(-1).view(torch.uint8).tolist()
    size = t.element_size()
    return [int.from_bytes(bytes(raw[i : i + size]), "little") for i in range(0, len(raw), size)]


@pytest.mark.parametrize("coder", ["range", "rans", "huffman", "none"])
def test_the_document_says_enough(coder: str) -> None:
    path = GOLDEN / f"version-3-{coder}.safetensors"
    found, expected = read(path.read_bytes()), load(path, Net()).state_dict()
    assert found.keys() == expected.keys()
    for name, (kind, shape, entries) in found.items():
        assert DTYPES[kind] == expected[name].dtype
        assert shape == tuple(expected[name].shape)
        assert entries == patterns(expected[name]), name


def test_an_image_and_many_lanes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Module()
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    dots = torch.stack([torch.exp(-((y - i % 8) ** 2 + (x - i // 3) ** 2) / 6).reshape(-1) for i in range(20)])
    model.register_buffer("image", (torch.randn(20, 64) * 2).round() * (torch.rand(20, 64) < dots))
    model.register_buffer("tall", torch.randn(90, 8) * (torch.rand(90, 8) < 0.3))
    compress(model, tmp_path / "context", layout="context")
    model.register_buffer("wide", (torch.randn(100, 900) * 2).round() * (torch.rand(100, 900) < 0.1))
    compress(model, tmp_path / "rans", coder="rans", layout="bitmask")
    for name in ("context", "rans"):
        for key, (_, _, entries) in read((tmp_path / name).read_bytes()).items():
            value = getattr(model, key).clone()
            value[value == 0] = 0.0
            assert entries == patterns(value), (name, key)
