"""A score of your own in one class: a weight counts by its share of its own output.

Run: python examples/bring_your_own_score.py
"""

import torch

import secateur as sc
from secateur.core.component import component, param
from secateur.schedule import OneShot
from secateur.score import Score
from secateur.testing import check_score, small_model


@component
class RowRelative(Score):
    """A weight matters by its share of its own output: S = |w| / ‖w_row‖^strength.

    Args:
        strength: 0 is plain magnitude, 1 makes every output equally important.

    Example:
        >>> import torch
        >>> from secateur.core.statistics import Statistics
        >>> RowRelative()(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), Statistics(name="w"))
        tensor([[0.6000, 0.8000],
                [0.6000, 0.8000]])
    """

    strength: float = param(default=1.0, ge=0)

    def __call__(self, weight, statistics):
        rows = weight.contiguous().flatten(1)  # sums in one order, whatever the layout
        norm = rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
        return (rows.abs() / norm**self.strength).view(weight.shape)


check_score(RowRelative)
recipe = sc.Recipe(score=RowRelative(strength=0.5), schedule=OneShot(sparsity=0.8))
assert sc.Recipe.from_yaml(recipe.to_yaml()) == recipe
pruner = sc.prune_(small_model(), recipe)
print(f"{recipe.score.name} conforms, and pruned to sparsity {pruner.sparsity:.4f}")
