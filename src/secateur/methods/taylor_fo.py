"""Filters whose removal changes the loss least, to first order, a few at a time while training goes on."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import Polynomial
from ..score import Taylor
from ..structure import Filters
from ._registry import method

__all__ = ["taylor_fo"]


@method(
    paper="Molchanov et al., Importance Estimation for Neural Network Pruning, 2019",
    source="arXiv:1906.10771",
    claim="what a filter does to the loss, to first order, compares over all layers, and correlates by more than 93 % with what "
    "its removal does",
    results=("filters-by-score.json",),
)
def taylor_fo(
    *,
    sparsity: float = 0.4,
    begin: int = 0,
    end: int = 960,
    every: int = 30,
    epochs: float = 25.0,
    learning_rate: float = 1e-3,
) -> Recipe:
    """Filters with the least E_x |∂L(x)/∂z| go, with z = 1 a gate on the filter's output, equally many at each event.

    The gate stands behind the batch norm and the ReLU: ∂L/∂z = Σ w·∂L/∂w over the weights that read the filter. Nothing
    is normalised over layers. Needs ``example_inputs`` and ``data``; one backward pass an example at each event.

    Deviations: the mean is of absolute values over examples, where the paper takes squares over batches; there is no
    moving average over events.

    Args:
        sparsity: fraction of the parameters that filters own which is removed at the end.
        begin: optimizer steps before the first event.
        end: optimizer steps at the last event.
        every: optimizer steps between events.
        epochs: epochs of the training in which it happens.
        learning_rate: its peak rate.

    Example:
        >>> ramp = taylor_fo(sparsity=0.5, end=60).schedule
        >>> [ramp.at_step(t) for t in (0, 30, 60)]
        [0.0, 0.25, 0.5]
    """
    return Recipe(
        structure=Filters(reduce="abs_sum", members="consumers"),
        score=Taylor(signed=True),
        allocation=Global(),
        schedule=Polynomial(sparsity=sparsity, begin=begin, end=end, every=every, power=1),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
