"""What the survivors do: train on, fine-tune, go back to earlier weights, start from new ones."""

from .base import Recovery, Restart
from .finetune import Finetune
from .keep_training import KeepTraining
from .reinitialize import Reinitialize
from .rewind import Rewind

__all__ = ["Finetune", "KeepTraining", "Recovery", "Reinitialize", "Restart", "Rewind"]
