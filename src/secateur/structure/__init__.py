"""What is removed: single weights, blocks, N:M groups, kernels, filters, neurons, heads, inputs, layers."""

from .base import Grouped, Structure
from .blocks import Blocks
from .coupled import Coupled
from .filters import Filters
from .heads import Heads
from .inputs import Inputs
from .kernels import Kernels
from .layers import Layers
from .neurons import Neurons
from .nm import NM
from .weights import Weights

__all__ = [
    "NM",
    "Blocks",
    "Coupled",
    "Filters",
    "Grouped",
    "Heads",
    "Inputs",
    "Kernels",
    "Layers",
    "Neurons",
    "Structure",
    "Weights",
]
