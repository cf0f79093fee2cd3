"""What the survivors do: train on, fine-tune, go back to earlier weights, start from new ones."""

from .base import Inherit, Recovery, Restart
from .finetune import Finetune
from .keep_training import KeepTraining
from .recalibrate import recalibrate_
from .reinitialize import Reinitialize
from .rewind import Rewind

__all__ = ["Finetune", "Inherit", "KeepTraining", "Recovery", "Reinitialize", "Restart", "Rewind", "recalibrate_"]
