"""The lab: experiments that resume, many at once, and what they show side by side."""

from .compare import comparison, grid
from .connectivity import Barrier, barrier, instability
from .experiment import Experiment
from .imports import import_source
from .plan import LeftOut, Plan, make_plan
from .pool import Notice, Outcome, run_all
from .run import load_model, run
from .sensitivity import Scan, sensitivity
from .sweep import Network, Sweep

__all__ = [
    "Barrier", "Experiment", "LeftOut", "Network", "Notice", "Outcome", "Plan", "Scan", "Sweep", "barrier", "comparison", "grid",
    "import_source", "instability", "load_model", "make_plan", "run", "run_all", "sensitivity",
]  # fmt: skip
