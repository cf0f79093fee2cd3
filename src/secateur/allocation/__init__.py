"""How much goes from which layer: the same from each, one ranking over all, given per layer, or by threshold."""

from .base import Allocation
from .erk import ERK
from .global_ import Global
from .lamp import LAMP
from .per_layer import PerLayer
from .std_threshold import StdThreshold
from .threshold import Threshold
from .uniform import Uniform

__all__ = ["ERK", "LAMP", "Allocation", "Global", "PerLayer", "StdThreshold", "Threshold", "Uniform"]
