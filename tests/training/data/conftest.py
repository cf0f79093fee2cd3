from __future__ import annotations

import os
from pathlib import Path

import pytest

from secateur.core.errors import DataError
from secateur.training.data import Data, load_data


def _root() -> Path | None:
    given = os.environ.get("SECATEUR_DATA")
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(given) if given else beside if beside.is_dir() else None


def real(name: str, root: Path) -> Data:
    """A set of this machine, or a visible skip when this machine lacks it."""
    try:
        return load_data(name, root)
    except DataError as e:
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def data_root() -> Path:
    root = _root()
    if root is None or not root.is_dir():
        pytest.skip("no data: set SECATEUR_DATA to the folder that has it")
    return root


@pytest.fixture(scope="session")
def cifar10(data_root: Path) -> Data:
    return real("cifar10", data_root)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with nothing to be found anywhere else either."""
    monkeypatch.delenv("SECATEUR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty
