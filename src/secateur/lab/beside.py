"""The dense network beside every pruned one, those that were pruned before any training too."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Sequence

from .one import Outcome

__all__ = ["beside_dense"]


def beside_dense(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes, with the figures of the dense network of the same seed where a run that does not need it has none.

    Args:
        outcomes: of a comparison, dense networks among them.
    """
    dense = {o.experiment.id: o.result for o in outcomes if o.experiment.recipe is None and o.result is not None}
    found = []
    for o in outcomes:
        beside = dense.get(o.experiment.dense().id)
        if o.result is not None and o.experiment.recipe is not None and o.result["dense_test"] is None and beside is not None:
            figures = {"dense_id": beside["id"], "dense_test": beside["test"], "dense_validation": beside["validation"]}
            o = dc.replace(o, result={**o.result, **figures})
        found.append(o)
    return found
