"""Sparse execution on CPUs."""

from __future__ import annotations

from .compile import compile
from .compiled import Compiled
from .report import Layer, Report

__all__ = ["Compiled", "Layer", "Report", "compile"]
