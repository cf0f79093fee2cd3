"""When: at once, in rounds, along a ramp, in exchanges."""

from .base import Schedule
from .drop_grow import DropGrow
from .iterative import Iterative
from .one_shot import OneShot
from .polynomial import Cubic, Polynomial

__all__ = ["Cubic", "DropGrow", "Iterative", "OneShot", "Polynomial", "Schedule"]
