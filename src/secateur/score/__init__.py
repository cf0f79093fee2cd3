"""How much a weight matters: magnitude, first-order saliency, distance from the others, chance."""

from .base import Score
from .geometric_median import GeometricMedian
from .gradient import Gradient
from .magnitude import Magnitude
from .random import Random
from .taylor import Taylor

__all__ = ["GeometricMedian", "Gradient", "Magnitude", "Random", "Score", "Taylor"]
