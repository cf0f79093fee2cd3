"""``secateur compress``, ``expand``, and what ``inspect`` says of a compressed file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from secateur.cli import app
from secateur.core.errors import ModelError


def called(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    weight = (torch.randn(100, 300) * 2).round() / 2 * (torch.rand(100, 300) < 0.08)
    safetensors.torch.save_file({"fc.weight": weight, "fc.bias": torch.randn(100)}, tmp_path / "plain")
    return tmp_path / "plain"


def same(a: Path, b: Path) -> bool:
    left, right = (safetensors.torch.load_file(p) for p in (a, b))
    return left.keys() == right.keys() and all(torch.equal(v, right[k]) for k, v in left.items())


def test_there_and_back(plain: Path) -> None:
    small, again = plain.with_name("small"), plain.with_name("again")
    told = called("compress", plain, small)
    times = plain.stat().st_size / small.stat().st_size
    assert f"{small.stat().st_size:,} bytes, {times:.1f} times smaller than plain" in told
    assert times > 20
    assert "times larger than small" in called("expand", small, again)
    assert same(plain, again)


def test_the_papers_table(plain: Path) -> None:
    small = plain.with_name("small")
    called("compress", plain, small, "--coder", "huffman", "--index-bits", "5")
    text = called("inspect", small)
    row = next(line for line in text.splitlines() if "fc.weight" in line)
    found = re.search(r"100×300\s+gaps\s+([\d.]+)\s+(\d) → ([\d.]+)\s+5.0 → ([\d.]+)\s+([\d,]+)\s+([\d.]+)\s+([\d.]+)", row)
    assert found is not None, row
    kept, bits, weight, index, size, before, after = (float(g.replace(",", "")) for g in found.groups())
    assert 5.5 < kept < 8.5
    assert weight < bits + 0.1
    assert index < 5
    assert after < before < 100 * kept / 100 * (bits + 5) / 32 * 1.2 + 2
    assert after == pytest.approx(100 * size / 120_000, abs=0.01)
    parts = dict(
        re.findall(
            r"^ +(positions|values|codebooks|biases and other vectors|layout bytes|header\S*.*?checksums) +([\d,]+)", text, re.M
        )
    )
    assert sum(int(v.replace(",", "")) for v in parts.values()) == pytest.approx(small.stat().st_size, abs=3)
    assert len(parts) == 6
    assert "zeros listed as fillers" in text


def test_contexts_tell_positions_from_values(plain: Path) -> None:
    small = plain.with_name("small")
    called("compress", plain, small)
    text = called("inspect", small)
    assert re.search(r"fc.weight\s+100×300\s+context", text)
    positions, values = (int(re.search(rf" {w} +([\d,]+)", text)[1].replace(",", "")) for w in ("positions", "values"))
    assert 1000 < positions < 2000
    assert 400 < values < 1500


def test_what_is_refused(plain: Path) -> None:
    with pytest.raises(ModelError, match="there is no coder 'zip'"):
        called("compress", plain, plain.with_name("x"), "--coder", "zip")
    with pytest.raises(ModelError, match="there is no layout 'csr'"):
        called("compress", plain, plain.with_name("x"), "--layout", "csr")
    assert not plain.with_name("x").exists()
