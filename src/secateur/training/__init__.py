"""Ready-made training: data sets, reference models, a task, settings, and the loop."""

from .loop import Progress, fit
from .settings import Training
from .task import Task

__all__ = ["Progress", "Task", "Training", "fit"]
