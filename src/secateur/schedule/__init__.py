"""When: at once, in rounds, along a ramp."""

from .base import Schedule
from .iterative import Iterative
from .one_shot import OneShot
from .polynomial import Cubic, Polynomial

__all__ = ["Cubic", "Iterative", "OneShot", "Polynomial", "Schedule"]
