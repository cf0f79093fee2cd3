"""The lab: experiments that resume, many at once, and what they show side by side."""

from .compare import comparison, grid
from .connectivity import Barrier, barrier, instability
from .experiment import Experiment
from .pool import Outcome, run_all
from .run import load_model, run
from .sensitivity import Scan, sensitivity

__all__ = [
    "Barrier", "Experiment", "Outcome", "Scan", "barrier", "comparison", "grid", "instability", "load_model", "run", "run_all",
    "sensitivity",
]  # fmt: skip
