"""The lab: experiments that resume, many at once, and what they show side by side."""

from .compare import comparison, grid
from .experiment import Experiment
from .pool import Outcome, run_all
from .run import load_model, run
from .sensitivity import Scan, sensitivity

__all__ = ["Experiment", "Outcome", "Scan", "comparison", "grid", "load_model", "run", "run_all", "sensitivity"]
