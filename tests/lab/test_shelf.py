"""Finished runs on a shared path."""

from __future__ import annotations

import pytest

from secateur.core.errors import RunError
from secateur.lab.shelf import Shelf, is_remote


@pytest.fixture
def shelf(tmp_path):
    return Shelf(f"file://{tmp_path}/there", tmp_path / "here")


def fill(shelf, id, **files):
    for name, text in files.items():
        path = shelf.local / id / name.replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_what_is_one():
    assert is_remote("s3://bucket/runs")
    assert not is_remote("runs")


def test_what_one_machine_finished_another_has(shelf, tmp_path):
    fill(shelf, "a" * 12, result_json="{}", model_safetensors="weights", experiment_yaml="x")
    (shelf.local / ("a" * 12) / ".lock").touch()
    shelf.push("a" * 12)
    assert sorted(p.name for p in (tmp_path / "there" / ("a" * 12)).iterdir()) == [
        "experiment.yaml",
        "model.safetensors",
        "result.json",
    ]
    other = Shelf(shelf.url, tmp_path / "elsewhere")
    assert other.pull(["b" * 12, "a" * 12]) == 1
    assert (other.local / ("a" * 12) / "model.safetensors").read_text() == "weights"
    assert other.pull(["a" * 12]) == 0
    assert not (other.local / ("b" * 12)).exists()


def test_what_is_not_whole_is_not_there(shelf, tmp_path, monkeypatch):
    """The result goes last: a run that was cut off on its way is no finished run."""
    fill(shelf, "a" * 12, result_json="{}", model_safetensors="weights")
    real = shelf._there.put_file

    def full(here, there):
        if there.endswith("result.json"):
            raise OSError("no room")
        real(here, there)

    monkeypatch.setattr(shelf._there, "put_file", full)
    with pytest.raises(RunError, match=r"cannot be written: no room; the run is in"):
        shelf.push("a" * 12)
    other = Shelf(shelf.url, tmp_path / "elsewhere")
    assert other.pull(["a" * 12]) == 0


def test_a_report_in_folders(shelf, tmp_path):
    page = shelf.local / "report" / "figures" / "a.svg"
    page.parent.mkdir(parents=True)
    page.write_text("<svg/>")
    shelf.push("report")
    assert (tmp_path / "there" / "report" / "figures" / "a.svg").read_text() == "<svg/>"


def test_a_protocol_that_nobody_speaks(tmp_path):
    with pytest.raises(RunError, match=r"'nosuch://bucket' cannot be used \(.*\); install what speaks it"):
        Shelf("nosuch://bucket", tmp_path)
