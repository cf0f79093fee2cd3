"""How much a weight matters: magnitude, first-order saliency, chance."""

from .base import Score
from .gradient import Gradient
from .magnitude import Magnitude
from .random import Random

__all__ = ["Gradient", "Magnitude", "Random", "Score"]
