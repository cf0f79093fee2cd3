"""The report: one page to show, its figures and its numbers."""

from .aggregate import Stat, Summary, aggregate, best, dense_stat, knee, stat
from .checklist import Check, checklist
from .data import Comparison, Layer, MaskPicture, Point, Published
from .published import Overlay, read_published
from .significance import Difference, compare
from .terminal import rich_table
from .write import read_comparison, write_report

__all__ = [
    "Check",
    "Comparison",
    "Difference",
    "Layer",
    "MaskPicture",
    "Overlay",
    "Point",
    "Published",
    "Stat",
    "Summary",
    "aggregate",
    "best",
    "checklist",
    "compare",
    "dense_stat",
    "knee",
    "read_comparison",
    "read_published",
    "rich_table",
    "stat",
    "write_report",
]
