from __future__ import annotations

import sys
from pathlib import Path

import pytest

from secateur.core.errors import DataError
from secateur.training.data import DATA_SETS, load_data

MINE = """
from secateur.training.data.text import from_text

def plain():
    return from_text("abc" * 100, name="mine", block_size=4)

def found(folder=None, times=100):
    return from_text("abc" * times, name=str(folder), block_size=4)

def broken():
    return 3

number = 4
"""


@pytest.fixture
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_sets.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_sets", None)


@pytest.mark.usefixtures("_mine")
def test_your_own_function(tmp_path: Path) -> None:
    assert load_data("my_sets:plain").name == "mine"
    assert load_data("my_sets:plain", tmp_path).name == "mine"
    assert load_data("my_sets:found", tmp_path, times=200).name == str(tmp_path)


@pytest.mark.usefixtures("_mine")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cifar", r"unknown data set 'cifar'; did you mean 'cifar10'\?"),
        ("my_sets:typo", "my_sets has no 'typo'"),
        ("my_sets:number", "must be a class or a function; got int"),
        ("my_sets:broken", "must return a secateur.training.data.Data; got int"),
        ("no_such_package:f", "cannot be imported"),
        (":f", "is not an import path"),
        (".x:f", "is not an import path"),
    ],
)
def test_one_sentence_for_every_bad_name(name: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        load_data(name)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(
        DataError, match="data set 'tinyshakespeare' has no parameter 'block'; it has 'folder', 'block_size', 'stride'"
    ):
        load_data("tinyshakespeare", block=3)


def test_names() -> None:
    assert list(DATA_SETS) == ["digits", "mnist", "cifar10", "tinyshakespeare"]
