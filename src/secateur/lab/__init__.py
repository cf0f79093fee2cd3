"""The lab: experiments that resume, many at once, and what they show side by side."""

from .compare import comparison, grid
from .experiment import Experiment
from .pool import Outcome, run_all
from .run import load_model, run

__all__ = ["Experiment", "Outcome", "comparison", "grid", "load_model", "run", "run_all"]
