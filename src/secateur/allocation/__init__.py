"""How much goes from which layer: the same from each, one ranking over all, given per layer, or by standard deviation."""

from .base import Allocation
from .global_ import Global
from .per_layer import PerLayer
from .std_threshold import StdThreshold
from .uniform import Uniform

__all__ = ["Allocation", "Global", "PerLayer", "StdThreshold", "Uniform"]
