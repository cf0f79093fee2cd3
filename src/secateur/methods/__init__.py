"""Published methods, one file each: a function that returns a recipe or a pipeline, its paper, its claim, any deviation."""

from ._registry import METHODS, Method, make, method
from .deep_compression import deep_compression
from .depgraph import depgraph
from .depth import depth
from .exact_obs import exact_obs
from .fpgm import fpgm
from .global_gradient import global_gradient
from .global_magnitude import global_magnitude
from .grasp import grasp
from .han_2015 import han_2015
from .l0_hard_concrete import l0_hard_concrete
from .lamp import lamp
from .late_rewinding import late_rewinding
from .layer_gradient import layer_gradient
from .layer_magnitude import layer_magnitude
from .li_2016 import li_2016
from .liu_2019 import liu_2019
from .lottery_ticket import lottery_ticket
from .michel_2019 import michel_2019
from .movement import movement
from .network_slimming import network_slimming
from .obd import obd
from .random import random
from .renda_2020 import renda_2020
from .rigl import rigl
from .set_2018 import set_2018
from .snip import snip
from .soft_movement import soft_movement
from .synflow import synflow
from .taylor_fo import taylor_fo
from .variational_dropout import variational_dropout
from .zhu_gupta_2018 import zhu_gupta_2018

__all__ = [
    "METHODS",
    "Method",
    "deep_compression",
    "depgraph",
    "depth",
    "exact_obs",
    "fpgm",
    "global_gradient",
    "global_magnitude",
    "grasp",
    "han_2015",
    "l0_hard_concrete",
    "lamp",
    "late_rewinding",
    "layer_gradient",
    "layer_magnitude",
    "li_2016",
    "liu_2019",
    "lottery_ticket",
    "make",
    "method",
    "michel_2019",
    "movement",
    "network_slimming",
    "obd",
    "random",
    "renda_2020",
    "rigl",
    "set_2018",
    "snip",
    "soft_movement",
    "synflow",
    "taylor_fo",
    "variational_dropout",
    "zhu_gupta_2018",
]
