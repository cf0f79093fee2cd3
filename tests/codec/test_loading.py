"""``load``: into the model's own memory, tensor after tensor, and all of them or none."""

from __future__ import annotations

import dataclasses as dc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from codec_strategies import bits
from torch import nn

from secateur.codec import compress, load, save
from secateur.codec.coded import Payload, Wish, encode
from secateur.core.errors import FormatError


class Odd(nn.Module):
    """Parameters that lie in memory in unusual ways, and of unusual types."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)

        def draw(*shape: int, kept: float = 0.2) -> torch.Tensor:
            return torch.where(torch.rand(shape, generator=g) < kept, torch.randn(shape, generator=g), 0.0)

        self.sparse = nn.Parameter(draw(40, 30))
        self.dense = nn.Parameter(draw(17, 5, kept=1.0))
        self.across = nn.Parameter(draw(20, 30).t())
        self.pictures = nn.Parameter(draw(8, 4, 3, 3).to(memory_format=torch.channels_last))
        self.bfloat = nn.Parameter(draw(9, 7).to(torch.bfloat16))
        self.tied = self.sparse
        self.register_buffer("mask", draw(6, 6) != 0)
        self.register_buffer("waves", torch.complex(draw(5), draw(5)))
        self.register_buffer("none", torch.zeros(4, 0))
        self.register_buffer("scalar", torch.tensor(seed))
        self.register_buffer("zero", torch.zeros(33, dtype=torch.int16))
        self.norm = nn.BatchNorm1d(3)


def equal(a: nn.Module, b: nn.Module) -> bool:
    x, y = a.state_dict(), b.state_dict()
    return x.keys() == y.keys() and all(x[n].dtype == y[n].dtype and torch.equal(bits(x[n]), bits(y[n])) for n in x)


@pytest.mark.parametrize("room", [0, 1 << 24], ids=["decoded twice", "held"])
@pytest.mark.parametrize("write", [save, compress])
def test_every_tensor_comes_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, room: int) -> None:
    monkeypatch.setattr("secateur.codec.fill._ROOM", room)
    monkeypatch.setattr("secateur.codec.fill._SHARE", 1 << 62)
    model, other = Odd(1), Odd(2)
    before = {n: (t.data_ptr(), t.stride()) for n, t in other.state_dict().items()}
    write(model, tmp_path / "m")
    assert load(tmp_path / "m", other) is other
    assert equal(other, model)
    assert {n: (t.data_ptr(), t.stride()) for n, t in other.state_dict().items()} == before
    assert other.tied is other.sparse


@pytest.mark.parametrize("room", [0, 1 << 24], ids=["decoded twice", "held"])
def test_a_payload_that_is_wrong_under_a_right_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """The last tensor tells a lie about itself, when all others could be in the model already."""
    monkeypatch.setattr("secateur.codec.fill._ROOM", room)

    def lying(tensor: torch.Tensor, wish: Wish) -> Payload:
        found = encode(tensor, wish)
        return dc.replace(found, nonzero=found.nonzero - 1) if tensor.shape == (2, 7) else found

    monkeypatch.setattr(sys.modules[compress.__module__], "encode", lying)
    model, other, untouched = (nn.Sequential(nn.Linear(40, 40), nn.Linear(7, 2)) for _ in range(3))
    other.load_state_dict(untouched.state_dict())
    compress(model, tmp_path / "m")
    with pytest.raises(FormatError, match=r"is corrupt: '1\.weight' cannot be decoded"):
        load(tmp_path / "m", other)
    assert equal(other, untouched)


class Choosy(nn.Linear):
    """A layer that refuses to be loaded."""

    def _load_from_state_dict(self, *args: Any) -> None:
        raise RuntimeError("not today")


def test_a_class_that_refuses(tmp_path: Path) -> None:
    model, other, untouched = (nn.Sequential(nn.Linear(4, 4), Choosy(4, 2)) for _ in range(3))
    other[0].load_state_dict(untouched[0].state_dict())
    with torch.no_grad():
        other[1].weight.copy_(untouched[1].weight)
        other[1].bias.copy_(untouched[1].bias)
    save(model, tmp_path / "m")
    with pytest.raises(RuntimeError, match="not today"):
        load(tmp_path / "m", other)
    assert equal(other[1], untouched[1])


MEASURED = """
import sys
from pathlib import Path
import torch
from secateur.codec import load
torch.set_num_threads(1)

def now(what):  # ru_maxrss would be the parent's own, where that is larger
    return 1024 * int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0])

def two(side):
    model = torch.nn.Module()
    for name, columns in (("large", side), ("small", side // 4)):
        model.register_parameter(name, torch.nn.Parameter(torch.ones(side, columns)))
    return model

load(sys.argv[1], two(400))  # everything is imported and compiled by now
before = now("VmRSS")
model = load(sys.argv[2], two(3000))
peak = now("VmHWM") - before
print(peak / sum(p.nbytes for p in model.parameters()), float(model.large.count_nonzero()) / 3000**2)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("write", [save, compress])
def test_memory_stays_below_one_and_a_half_of_the_model(tmp_path: Path, write: Any) -> None:
    g = torch.Generator().manual_seed(0)
    for side in (400, 3000):
        model = nn.Module()
        for name, columns in (("large", side), ("small", side // 4)):
            w = torch.randn(side, columns, generator=g)
            model.register_parameter(name, nn.Parameter(w * (torch.rand(w.shape, generator=g) < 0.1)))
        write(model, tmp_path / str(side))
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "400"), str(tmp_path / "3000")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, kept = map(float, done.stdout.split())
    assert 0.09 < kept < 0.11
    assert 1 <= peak <= 1.5, f"{peak:.2f} times the model's own size"
