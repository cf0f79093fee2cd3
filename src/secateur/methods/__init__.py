"""Published methods, one file each: a function that returns a recipe, with its paper, its claim and any deviation."""

from ._registry import METHODS, Method, make, method
from .depgraph import depgraph
from .depth import depth
from .fpgm import fpgm
from .global_gradient import global_gradient
from .global_magnitude import global_magnitude
from .han_2015 import han_2015
from .layer_gradient import layer_gradient
from .layer_magnitude import layer_magnitude
from .li_2016 import li_2016
from .michel_2019 import michel_2019
from .network_slimming import network_slimming
from .random import random
from .taylor_fo import taylor_fo
from .zhu_gupta_2018 import zhu_gupta_2018

__all__ = [
    "METHODS",
    "Method",
    "depgraph",
    "depth",
    "fpgm",
    "global_gradient",
    "global_magnitude",
    "han_2015",
    "layer_gradient",
    "layer_magnitude",
    "li_2016",
    "make",
    "method",
    "michel_2019",
    "network_slimming",
    "random",
    "taylor_fo",
    "zhu_gupta_2018",
]
