from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_fakes import comparison
from rich.console import Console

from secateur.core.errors import FormatError, RunError
from secateur.evaluate.report import Comparison, MaskPicture, Point, checklist, read_comparison, rich_table, write_report

VOID = {"meta", "link", "input", "br", "hr", "img"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what a browser would fetch and every id."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.svg_labels: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
                self.links.append(value or "")
            if name == "aria-label" and tag == "svg":
                self.svg_labels.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(comparison(), tmp_path_factory.mktemp("report")).parent


def test_the_page_is_well_formed_and_loads_nothing(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.tags.count("h1") == 1
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert len(text.encode()) <= 2_000_000
    assert len(page.svg_labels) == 15  # three figures of loss, three of gain and the layers for each network, one mask
    assert all("digits_" in label for label in page.svg_labels)


def test_the_script_is_the_one_the_policy_names(written: Path) -> None:
    import base64
    import hashlib

    text = (written / "report.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in text


def test_both_themes_are_there(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    assert ":root[data-theme=dark]" in text
    defined = set(re.findall(r"(--[\w-]+):", text))
    assert set(re.findall(r"var\((--[\w-]+)", text)) <= defined


def test_files(written: Path) -> None:
    names = {p.name for p in (written / "figures").iterdir()}
    kinds = ["compression", "top1-change", "top5", "speedup", "file", "latency", "layers"]
    stems = [f"digits-{m}-{k}" for m in ("digits_mlp", "digits_cnn") for k in kinds] + ["digits-digits_mlp-mask"]
    assert names == {f"{stem}.{ending}" for stem in stems for ending in ("png", "svg")}
    assert all((written / "figures" / n).read_bytes().startswith(b"\x89PNG") for n in names if n.endswith("png"))
    assert not list(written.rglob("*.part"))


def test_csv_columns_and_rows(written: Path) -> None:
    with (written / "points.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert list(rows[0]) == [
        "task", "model", "method", "seed", "target_compression", "control", "compression", "speedup", "top1", "top5",
        "dense_top1", "validation_change", "top1_before", "file_bytes", "dense_bytes", "latency_ms", "dense_latency_ms",
        "seconds", "kind", "loss", "dense_loss", "inference_joules", "inference_energy", "dense_inference_joules",
        "training_joules", "training_energy", "peak_bytes", "peak_memory", "steps", "dense_id", "id", "error",
        "top1_change", "file_ratio", "measured_speedup", "perplexity", "energy_ratio",
    ]  # fmt: skip
    points = comparison().points
    assert len(rows) == len(points)
    assert float(rows[1]["top1"]) == points[1].top1
    assert (rows[40]["error"], rows[40]["top1"], rows[0]["control"]) == ("RunError: no space left on device", "", "true")


def test_the_folder_rebuilds_its_report(written: Path, tmp_path: Path) -> None:
    again = read_comparison(written)
    assert again == comparison()
    assert write_report(again, tmp_path).read_bytes() == (written / "report.html").read_bytes()


EVIL = "<script>alert(1)</script>\"'&$x_"


def test_names_are_escaped(tmp_path: Path) -> None:
    p = Point(task=EVIL, model="../../" + EVIL, method=EVIL, seed=0, target_compression=2.0, compression=2.0, speedup=2.0,
              top1=0.9, dense_top1=0.91, layers=((EVIL, 10, 5),), id="=1+1")  # type: ignore[arg-type]  # fmt: skip
    broken = Point(task=EVIL, model=p.model, method=EVIL, seed=1, target_compression=2.0, error=EVIL)
    picture = MaskPicture(task=EVIL, model=p.model, method=EVIL, values=((0.0, 1.0),))
    c = Comparison(title=EVIL, points=(p, broken), recipes={EVIL: EVIL}, environment={EVIL: EVIL}, settings={EVIL: [EVIL]},
                   mask_pictures=(picture,), notes=(EVIL,))  # fmt: skip
    out = write_report(c, tmp_path / "deep" / "er")
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 1
    assert "alert(1)</script>" not in text
    assert {x.relative_to(tmp_path).parts[:2] for x in tmp_path.rglob("*") if x.is_file()} == {("deep", "er")}
    with (out.parent / "points.csv").open(encoding="utf-8") as f:
        assert next(csv.DictReader(f))["id"] == "'=1+1"
    assert c.title in _print(rich_table(c)).replace("\n", "")


def _print(table: object, width: int = 100) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(table)
        return console.export_text()


def small(title: str, *points: dict[str, object]) -> Comparison:
    fields = {"task": "t", "model": "m", "method": "x", "seed": 0, "target_compression": 2.0}
    return Comparison(title=title, points=tuple(Point.from_dict({**fields, **p}) for p in points))


FLAT = {"compression": 2.0, "speedup": 1.0, "top1": 0.0, "dense_top1": 0.0}


@pytest.mark.parametrize(
    "c",
    [
        Comparison(title="empty"),
        comparison(seeds=1),
        comparison(top5=False, latency=False),
        small("all lost", {"error": "e"}, {"error": "e", "seed": 1}),
        small("dense alone", {"method": "dense", "control": True, "target_compression": 1.0, "top1": 1.0}),
        small("twenty methods", *({**FLAT, "method": f"method {i}"} for i in range(20))),
    ],
    ids=lambda c: c.title[:14],
)
def test_what_is_missing_is_left_out(c: Comparison, tmp_path: Path) -> None:
    text = write_report(c, tmp_path).read_text(encoding="utf-8")
    assert Page(text).open == []
    assert not re.search(r"\b(nan|inf|None)\b", text)
    assert (">Latency</th>" in text) == any(p.latency_ms is not None for p in c.points)
    assert read_comparison(tmp_path / "points.json") == c
    assert rich_table(c).row_count >= len({(p.task, p.model) for p in c.points})


def test_failures_are_shown(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    assert "2 of 3" in text
    assert "no space left on device" in text


def test_many_points_stay_under_the_limit(tmp_path: Path) -> None:
    one = [p for p in comparison(failures=False).points if p.model == "digits_mlp"]
    many = tuple(Point.from_dict({**p.to_dict(), "seed": 100 * i + p.seed, "layers": []}) for i in range(60) for p in one)
    out = write_report(Comparison(title="many", points=many), tmp_path)
    assert out.stat().st_size <= 5_000_000
    assert f"{len(many) - 1200} more runs are in" in out.read_text(encoding="utf-8")


def test_an_unwritable_folder_and_a_bad_file_are_clear(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"cannot be written to .*(Not a directory|File exists)"):
        write_report(comparison(seeds=1), tmp_path / "file" / "sub")
    with pytest.raises(RunError, match="no report data at"):
        read_comparison(tmp_path)
    (tmp_path / "points.json").write_bytes(b"\xff{")
    with pytest.raises(FormatError, match="is not JSON"):
        read_comparison(tmp_path)
    (tmp_path / "points.json").write_text(json.dumps({"version": 9}))
    with pytest.raises(FormatError, match="has version 9"):
        read_comparison(tmp_path)


def test_the_terminal_table_fits_100_columns() -> None:
    text = _print(rich_table(comparison()))
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "…" not in text
    row = next(line for line in text.splitlines() if "★ 8×" in line)
    assert row.split() == ["★", "8×", "96.28", "±", "0.31", "−0.97", "8.00×", "5.06×", "32.5", "kB", "6.25×", "0.293", "ms"]
    assert "94.60 ± 0.08 ✕1" in text


def test_checklist() -> None:
    met = {c.ask: c.met for c in checklist(comparison())}
    assert met["at least 5 operating points for every curve"] is True
    assert met["compressions 2, 4, 8, 16 and 32 among them"] is True
    assert met["at least 3 pairs of data set and network"] is False
    assert met["no run is missing"] is False
    assert met["Top-1, and Top-5 from 10 classes up"] is True
    assert met["random pruning as a control"] is True
    fewer = {c.ask: c.met for c in checklist(comparison(seeds=1, top5=False, latency=False, failures=False))}
    assert fewer["at least 3 seeds for every point, shown as mean and standard deviation"] is False
    assert fewer["Top-1, and Top-5 from 10 classes up"] is None
    assert fewer["file size and measured latency besides the theoretical figures"] is False
    assert fewer["no run is missing"] is True
