from __future__ import annotations

from pathlib import Path

import pytest

from secateur.core.errors import DataError
from secateur.training.data import cache_folder, find

LAYOUTS = {"one": ["a.bin"], "two": ["b.bin", "c.bin"]}


def _put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_order_is_folder_then_environment_then_cache(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = _put(cache_folder() / "toy", "a.bin")
    assert find("toy", LAYOUTS, nowhere) == ("one", cached)
    environment = _put(nowhere.parent / "env", "a.bin")
    monkeypatch.setenv("SECATEUR_DATA", str(environment))
    assert find("toy", LAYOUTS, nowhere) == ("one", environment)
    given = _put(nowhere / "toy", "b.bin", "c.bin")
    assert find("toy", LAYOUTS, nowhere) == ("two", given)


def test_a_missing_set_says_what_where_and_what_to_run(nowhere: Path) -> None:
    with pytest.raises(DataError) as e:
        find("toy", LAYOUTS, nowhere)
    for part in (
        "a.bin",
        "b.bin (and 1 more)",
        str(nowhere),
        str(cache_folder()),
        "secateur data fetch toy",
        "--data",
        "$SECATEUR_DATA",
    ):
        assert part in str(e.value)


def test_half_a_set_says_what_is_lacking(nowhere: Path) -> None:
    _put(nowhere, "b.bin")
    with pytest.raises(DataError, match=r"empty lacks c\.bin;"):
        find("toy", LAYOUTS, nowhere)


def test_a_given_folder_must_exist(nowhere: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find("toy", LAYOUTS, nowhere / "typo")
