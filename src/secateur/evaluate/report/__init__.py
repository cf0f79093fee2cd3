"""The report: one page to show, its figures and its numbers."""

from .aggregate import Stat, Summary, aggregate, best, dense_stat, knee, stat
from .checklist import Check, checklist
from .data import Comparison, Layer, MaskPicture, Point, Published
from .terminal import rich_table
from .write import read_comparison, write_report

__all__ = [
    "Check",
    "Comparison",
    "Layer",
    "MaskPicture",
    "Point",
    "Published",
    "Stat",
    "Summary",
    "aggregate",
    "best",
    "checklist",
    "dense_stat",
    "knee",
    "read_comparison",
    "rich_table",
    "stat",
    "write_report",
]
