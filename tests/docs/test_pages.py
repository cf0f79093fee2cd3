"""The pages hang together: generated parts are up to date, links resolve, the site builds, CONTRIBUTING is short."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest
from docs_blocks import IDS, PAGES, ROOT

from secateur.core.component import AXES, choices
from secateur.methods import METHODS


def script(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date():
    for file, text in script("generate").pages().items():
        assert (ROOT / file).read_text(encoding="utf-8") == text, f"{file} is not up to date: run python docs/generate.py"


def test_the_methods_table_has_every_method():
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- methods:begin -->")[1]
    assert all(f"| `{name}`" in table for name in METHODS)


def test_pictures_are_up_to_date(tmp_path, monkeypatch):
    pictures = script("pictures")
    monkeypatch.setattr(pictures, "ASSETS", tmp_path)
    pictures.main()
    for drawn in tmp_path.glob("*.svg"):
        shown = ROOT / "docs" / "assets" / drawn.name
        assert shown.read_text(encoding="utf-8") == drawn.read_text(encoding="utf-8"), (
            f"{drawn.name}: run python docs/pictures.py"
        )


@pytest.mark.parametrize("axis", AXES)
def test_every_choice_is_on_its_axis_page_and_in_the_readme(axis):
    page = (ROOT / "docs" / "axes" / f"{axis}.md").read_text(encoding="utf-8")
    readme, index = ((ROOT / f).read_text(encoding="utf-8") for f in ("README.md", "docs/index.md"))
    ours = [c.__name__ for c in choices(axis).values() if c.__module__.startswith(f"secateur.{axis}.")]
    assert ours
    for name in ours:
        assert f"\n## {name}\n" in page
        assert f"::: secateur.{axis}.{name}\n" in page
        assert f"`{name}`" in readme
        assert f"`{name}`" in index


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "#")):
            continue
        assert (page.parent / target.split("#")[0]).exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) < 60


def test_no_name_of_this_machine_is_in_the_pages():
    for page in [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "examples").glob("*.py")]:
        assert not re.search(r"/(work|tmp|home|root)/", page.read_text(encoding="utf-8")), page


def test_the_site_builds_and_fetches_nothing(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for page in (tmp_path / "site").rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="?(https?://[^"\s>]+)', html)
        assert [f for f in fetched if not f.startswith("https://secateur.readthedocs.io/")] == [], page.name


def test_result_files_become_tables():
    generate = script("generate")
    stat = {"mean": 0.91234, "std": 0.0123, "n": 3}
    found = list(generate.figure_tables({"dense_top1": stat, "methods": {m: {"2": {"top1": stat, "top5": None}} for m in "ab"}}))
    assert found == [
        "| figure | value |\n|---|---|\n| dense top1 | 0.9123 ± 0.012 |",
        "|  | top1 |\n|---|---|\n| a | 0.9123 ± 0.012 |\n| b | 0.9123 ± 0.012 |",
    ]
    rows = [{"model": "digits_mlp", "target": t, "bytes": stat | {"mean": 12345.6, "std": None}} for t in (2.0, 4.0)]
    (table,) = generate.figure_tables({"rows": rows})
    assert table.splitlines()[2:] == ["| digits_mlp | 2 | 12,346 |", "| digits_mlp | 4 | 12,346 |"]
