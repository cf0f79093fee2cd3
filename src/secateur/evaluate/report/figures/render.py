"""A drawn figure as bytes: PNG and SVG for files, SVG in the page's own colours and type for the page."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from .style import VARIABLES, context

__all__ = ["Rendered", "inline", "render"]


class Rendered(NamedTuple):
    """One figure in its forms.

    Args:
        name: file name without ending.
        alt: what it shows, for those who cannot see it.
        png: the picture on white; None where the vector has to do.
        svg: a file of its own, on nothing.
        inline: the part of a page.
    """

    name: str
    alt: str
    png: bytes | None
    svg: str
    inline: str


def render(name: str, alt: str, draw: Callable[[], Any], dots: int | None = 160) -> Rendered:
    """Draw and save under the house style. The same input gives the same bytes.

    Args:
        name: file name without ending, also the prefix of the ids in the page.
        alt: the text alternative.
        draw: builds the matplotlib figure.
        dots: per inch of the PNG, which costs more time than all the rest of a figure; None for none.
    """
    with context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph the font lacks is drawn as a box, which is no reason to fail
        figure = draw()
        png, svg = io.BytesIO(), io.StringIO()
        if dots is not None:
            figure.savefig(png, format="png", dpi=dots, facecolor="white", metadata={"Software": None},
                           pil_kwargs={"compress_level": 1})  # fmt: skip
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Rendered(name, alt, png.getvalue() or None, svg.getvalue(), inline(svg.getvalue(), name, alt))


def inline(svg: str, prefix: str, alt: str) -> str:
    """An SVG file as part of a page: no prolog, ids of its own, the page's colours and type, a text alternative."""
    body = svg[svg.index("<svg") :]
    # Its style rule is for every element there is: in a page that would be the page's own.
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.S)
    box = re.search(r'viewBox="([^"]*)"', body)
    inner = body[body.index(">") + 1 :]
    inner = _slim(inner)
    inner = re.sub(r'\bid="', f'id="{prefix}-', inner)
    inner = inner.replace("url(#", f"url(#{prefix}-").replace('href="#', f'href="#{prefix}-')
    for colour, variable in VARIABLES.items():
        inner = inner.replace(colour, f"var({variable})")
    inner = re.sub(r"(font:[^;\"]*?\d(?:px)?) [^;\"]*", r"\1 var(--sans)", inner)
    inner = re.sub(r"font-family:[^;\"]*", "font-family: var(--sans)", inner)
    view = box.group(1) if box else "0 0 100 100"
    widest = 1.6 * float(view.split()[2])  # points; a small figure is not blown up to the width of the page
    return f'<svg viewBox="{view}" style="max-width: {widest:.0f}px" role="img" aria-label="{html.escape(alt)}">{inner}'


def _slim(svg: str) -> str:
    """The same picture in about half the letters: two decimals of a point, no indentation, no id that nobody refers to."""
    svg = re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><")
    svg = re.sub(r' (?:d|x|y|width|height|transform|style)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m.group()), svg)
    needed = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    return re.sub(r' id="([^"]*)"', lambda m: m.group() if m[1] in needed or m[1].startswith("part-") else "", svg)
