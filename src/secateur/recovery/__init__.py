"""What the survivors do: train on, fine-tune, go back to earlier weights or rates, start from new ones."""

from .base import Inherit, Recovery, Restart
from .finetune import Finetune
from .keep_training import KeepTraining
from .recalibrate import recalibrate_
from .reconstruct import Reconstruct
from .reinitialize import Reinitialize
from .rewind import Rewind
from .rewind_learning_rate import RewindLearningRate

__all__ = [
    "Finetune",
    "Inherit",
    "KeepTraining",
    "Reconstruct",
    "Recovery",
    "Reinitialize",
    "Restart",
    "Rewind",
    "RewindLearningRate",
    "recalibrate_",
]
