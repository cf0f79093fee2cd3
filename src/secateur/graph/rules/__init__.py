"""What each operation does to the labels of its dimensions, one family a file.

A rule returns the labels of the result, a list of them for several results, or ``NotImplemented``: then everything the
operation touches is pinned.
"""

from __future__ import annotations

from . import contractions, convolutions, elementwise, indexing, norms, parts, reductions, shapes, windows

__all__ = ["contractions", "convolutions", "elementwise", "indexing", "norms", "parts", "reductions", "shapes", "windows"]
