"""What is removed: single weights, blocks, N:M groups, kernels, filters."""

from .base import Grouped, Structure
from .blocks import Blocks
from .filters import Filters
from .kernels import Kernels
from .nm import NM
from .weights import Weights

__all__ = ["NM", "Blocks", "Filters", "Grouped", "Kernels", "Structure", "Weights"]
