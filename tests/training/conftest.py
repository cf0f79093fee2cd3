"""The real data sets of this machine, and a place where there are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from secateur.core.errors import DataError
from secateur.training.data import Data, load_data


def _root() -> Path | None:
    given = os.environ.get("SECATEUR_DATA")
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(given) if given else beside if beside.is_dir() else None


@pytest.fixture(scope="session")
def data_root() -> Path:
    root = _root()
    if root is None or not root.is_dir():
        pytest.skip("no data: set SECATEUR_DATA to the folder that has it")
    return root


@pytest.fixture(scope="session")
def real(data_root: Path) -> Callable[[str], Data]:
    """A set of this machine by name, or a visible skip when this machine lacks it."""

    def load(name: str) -> Data:
        try:
            return load_data(name, data_root)
        except DataError as e:
            pytest.skip(str(e))

    return load


@pytest.fixture(scope="session")
def cifar10(real: Callable[[str], Data]) -> Data:
    return real("cifar10")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with nothing to be found anywhere else either."""
    monkeypatch.delenv("SECATEUR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty
