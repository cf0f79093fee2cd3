"""Few values instead of many: weight sharing by k-means or on a uniform grid, and how many bits each layer gets.

Sees tensors and modules, never an axis.
"""

from .bits import choose_bits, sensitivity
from .grid import on_grid, rounded
from .kmeans import STARTS, centroids, kmeans, nearest
from .share import Share
from .sizes import entropy_bytes, sharing_ratio, size_model

__all__ = [
    "STARTS",
    "Share",
    "centroids",
    "choose_bits",
    "entropy_bytes",
    "kmeans",
    "nearest",
    "on_grid",
    "rounded",
    "sensitivity",
    "sharing_ratio",
    "size_model",
]
