"""How much a weight matters: magnitude, saliency, gradient and synaptic flow, distance, chance, what training learns."""

from .base import Score
from .geometric_median import GeometricMedian
from .grasp import Grasp
from .hard_concrete import HardConcrete
from .learned import Learned, Part
from .magnitude import Magnitude
from .movement import Movement, SoftMovement
from .obd import OBD
from .obs import OBS
from .random import Random
from .snip import Snip
from .synflow import SynFlow
from .taylor import Taylor
from .variational_dropout import VariationalDropout

__all__ = [
    "OBD",
    "OBS",
    "GeometricMedian",
    "Grasp",
    "HardConcrete",
    "Learned",
    "Magnitude",
    "Movement",
    "Part",
    "Random",
    "Score",
    "Snip",
    "SoftMovement",
    "SynFlow",
    "Taylor",
    "VariationalDropout",
]
