"""Conformance checks for the choices of the five axes, ours and yours: plain functions that raise ``AssertionError``.

One line in a plugin's test is enough::

    def test_my_score():
        check(MyScore)
"""

from .allocation import check_allocation
from .check import check
from .component import check_component
from .model import SmallAttention, small_batches, small_model
from .recovery import check_recovery
from .schedule import check_schedule
from .score import check_score
from .structure import check_structure

__all__ = [
    "SmallAttention",
    "check",
    "check_allocation",
    "check_component",
    "check_recovery",
    "check_schedule",
    "check_score",
    "check_structure",
    "small_batches",
    "small_model",
]
