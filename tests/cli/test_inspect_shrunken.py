"""What ``secateur inspect`` says of the file of a shrunken model."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn
from typer.testing import CliRunner

import secateur as sc
from secateur.cli import app


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 10), nn.Linear(10, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.tanh(self.up(x)))


def printed(path: Path) -> str:
    result = CliRunner().invoke(app, ["inspect", str(path)])
    assert result.exit_code == 0, result.output
    return result.output


def test_what_changed_and_what_is_gone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6)
    model = nn.Sequential(*(Block() for _ in range(3)), nn.Linear(6, 2))
    sc.save(model, tmp_path / "dense", metadata={"note": "mine"})
    assert "shrunken" not in printed(tmp_path / "dense")
    sc.shrink_(model, x, {"layers": [1], "2.up": [0, 1, 2]})
    sc.save(model, tmp_path / "small", metadata={"note": "mine"})
    text = printed(tmp_path / "small")
    assert "shrunken, 2 integers of its modules changed, 1 blocks gone" in text
    assert re.search(r"2\.up\.out_features +10 +7\b", text)
    assert re.search(r"2\.down\.in_features +10 +7\b", text)
    assert re.search(r"^ +1 +gone *$", text, re.M)
    assert "note: mine" in text
