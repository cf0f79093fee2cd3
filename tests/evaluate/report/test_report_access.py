"""The page without a mouse and without eyes: what a keyboard reaches, and what a screen reader is told."""

from __future__ import annotations

import dataclasses as dc
import itertools
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_fakes import comparison

from secateur.evaluate.report import write_report


class Tags(HTMLParser):
    """Every tag with its attributes and the tags around it, and the text inside each kind of tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.around: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {k: v or "" for k, v in attrs}, tuple(self.around)))
        if tag not in ("meta", "input"):
            self.around.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {k: v or "" for k, v in attrs}, tuple(self.around)))

    def handle_endtag(self, tag: str) -> None:
        assert self.around.pop() == tag

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [a for t, a, _ in self.found if t == tag and all(a.get(k) == v for k, v in attributes.items())]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Tags:
    c = comparison()
    c = dc.replace(c, points=tuple(dc.replace(p, seconds=2.0, peak_bytes=10**8, peak_memory="process") for p in c.points))
    out: Path = write_report(c, tmp_path_factory.mktemp("report"))
    return Tags(out.read_text(encoding="utf-8"))


def test_the_first_thing_a_keyboard_reaches_skips_to_the_results(page: Tags) -> None:
    reachable = [(t, a) for t, a, _ in page.found if t in ("a", "button", "input", "summary") or "tabindex" in a]
    first, attributes = reachable[0]
    assert (first, attributes["href"]) == ("a", "#main")
    assert page.all("main", id="main", tabindex="-1")  # so that the jump moves the focus too


def test_tabs_and_panels_name_each_other(page: Tags) -> None:
    tabs = page.all("button", role="tab")
    panels = {a["id"]: a for a in page.all("div", role="tabpanel")}
    assert len(tabs) == len(panels) == 2 * (3 + 3 + 5)  # of each network: what is lost, what is gained, five compressions
    for tab in tabs:
        assert panels[tab["aria-controls"]]["aria-labelledby"] == tab["id"]
    lists = page.all("div", role="tablist")
    assert len(lists) == 6
    assert all(a["aria-label"] for a in lists)
    assert sum(a["aria-selected"] == "true" for a in tabs) == sum(a["tabindex"] == "0" for a in tabs) == len(lists)


def test_without_script_every_panel_is_seen(page: Tags) -> None:
    assert not [a for a in page.all("div", role="tabpanel") if "hidden" in a]
    assert all("hidden" in a for a in page.all("div", role="tablist"))


def test_tables_have_a_caption_and_headings_of_rows_and_columns(page: Tags) -> None:
    tables = page.all("table")
    assert len(tables) == 2 * (1 + 5 + 1 + 1) + 1
    assert len(page.all("caption")) == len(tables)
    inside = [(t, a, around) for t, a, around in page.found if "tbody" in around and t in ("th", "td")]
    rows = sum(t == "tr" and "tbody" in around for t, _, around in page.found)
    assert sum(t == "th" and a.get("scope") == "row" for t, a, _ in inside) == rows
    heads = [a for t, a, around in page.found if t == "th" and "thead" in around]
    assert all(a.get("scope") == "col" for a in heads)


def test_what_scrolls_can_be_reached_and_has_a_name(page: Tags) -> None:
    for a in page.all("div", **{"class": "scroll"}):
        assert (a["tabindex"], a["role"]) == ("0", "region")
        assert a["aria-label"]


def test_every_picture_says_what_it_shows_and_headings_do_not_jump(page: Tags) -> None:
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in page.all("svg"))
    levels = [int(t[1]) for t, _, _ in page.found if t in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_every_label_that_is_referred_to_is_there(page: Tags) -> None:
    ids = [a["id"] for _, a, _ in page.found if "id" in a]
    assert len(ids) == len(set(ids))
    for _, a, _ in page.found:
        for name in ("aria-labelledby", "aria-controls"):
            assert a.get(name, ids[0]) in ids
