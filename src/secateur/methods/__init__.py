"""Published methods, one file each: a function that returns a recipe, with its paper, its claim and any deviation."""

from ._registry import METHODS, Method, make, method
from .global_gradient import global_gradient
from .global_magnitude import global_magnitude
from .han_2015 import han_2015
from .layer_gradient import layer_gradient
from .layer_magnitude import layer_magnitude
from .random import random
from .zhu_gupta_2018 import zhu_gupta_2018

__all__ = [
    "METHODS",
    "Method",
    "global_gradient",
    "global_magnitude",
    "han_2015",
    "layer_gradient",
    "layer_magnitude",
    "make",
    "method",
    "random",
    "zhu_gupta_2018",
]
