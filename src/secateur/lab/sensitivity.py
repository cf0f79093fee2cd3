"""What each layer can spare: prune it alone, at several sparsities, and look."""

from __future__ import annotations

import csv
import dataclasses as dc
import glob
import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, SupportsFloat

import torch
from torch import nn

from ..allocation import PerLayer, Uniform
from ..core.errors import DataError, RecipeError
from ..core.layers import unwrap
from ..core.statistics import Loss
from ..pruner import Pruner
from ..recipe import Recipe
from ..recovery import KeepTraining, recalibrate_
from ..schedule import OneShot

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Scan", "sensitivity"]


@dc.dataclass(frozen=True)
class Scan:
    """What a network is worth with one layer pruned; prints as a table.

    Args:
        dense: the figure of the network as it is; the larger, the better.
        sparsities: fractions of a layer removed, rising.
        figures: layer (or coupled group) → the figure at each sparsity.

    Example:
        >>> scan = Scan(dense=0.9, sparsities=(0.3, 0.6), figures={"conv1": (0.7, 0.5), "conv2": (0.9, 0.88)})
        >>> scan.largest(0.03)
        {'conv1': 0.0, 'conv2': 0.6}
        >>> scan.allocation(0.03).to_dict()["sparsity"]
        {'conv2': 0.6}
    """

    dense: float
    sparsities: tuple[float, ...]
    figures: dict[str, tuple[float, ...]]

    def largest(self, tolerance: float) -> dict[str, float]:
        """The largest sparsity of each layer up to which the figure never falls by more than a tolerance; 0 for none.

        Args:
            tolerance: admitted fall, in units of the figure (0.01 is a point of accuracy).
        """
        found = {}
        for name, row in self.figures.items():
            held = [s for i, s in enumerate(self.sparsities) if all(self.dense - f <= tolerance for f in row[: i + 1])]
            found[name] = held[-1] if held else 0.0
        return found

    def allocation(self, tolerance: float) -> PerLayer:
        """The allocation that takes from each layer what it can spare, and nothing from layers that can spare nothing.

        Layers were pruned one at a time: together they cost more. Give the tolerance of one layer, not of the whole.

        Args:
            tolerance: admitted fall for a layer, in units of the figure.
        """
        return PerLayer(sparsity=tuple((glob.escape(n), s) for n, s in self.largest(tolerance).items() if s))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and YAML."""
        figures = {n: list(row) for n, row in self.figures.items()}
        return {"dense": self.dense, "sparsities": list(self.sparsities), "figures": figures}

    def to_csv(self) -> str:
        """One line a layer, one column a sparsity; the column 0 is the dense network."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["layer", 0, *self.sparsities])
        writer.writerows([n, self.dense, *row] for n, row in self.figures.items())
        return out.getvalue()

    def __rich__(self) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(title=f"one layer pruned; dense: {self.dense:.4g}", box=box.SIMPLE_HEAD)
        table.add_column("layer")
        for s in self.sparsities:
            table.add_column(f"{s:g}", justify="right")
        for name, row in self.figures.items():
            table.add_row(name, *(f"{f:.4g}" for f in row))
        return table

    def __str__(self) -> str:
        from ..core.show import as_text

        return as_text(self)


def sensitivity(
    model: nn.Module,
    recipe: Recipe,
    evaluate: Callable[[nn.Module], SupportsFloat],
    *,
    sparsities: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    example_inputs: Any = None,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    say: Callable[[str, int, int], None] | None = None,
) -> Scan:
    """Prune each layer alone at several sparsities, and evaluate without retraining; the model ends with the bits it had.

    What is removed, and by which score, is the recipe's, and where its recovery recalibrates batch norms, so does each trial.

    Args:
        model: a trained network; evaluated in the mode that ``evaluate`` puts it in.
        recipe: structure, score, and what is excluded; its allocation and schedule say nothing here.
        evaluate: the network's figure on *validation* data, never on test data: the larger, the better.
        sparsities: fractions of a layer removed.
        example_inputs: what ``forward`` takes: groups of coupled layers are pruned then, instead of single layers.
        data: training batches, for scores that need them and for recalibration.
        loss: ``loss(model, batch)`` → scalar, when the default does not fit the batches.
        say: told the layer, the trials done and the trials in all.

    Raises:
        ModelError: nothing to prune.
        RecipeError: no sparsity, or one that the structure cannot reach.
        DataError: data is needed, or a figure is no number.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net, x = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)), torch.randn(200, 4)
        >>> answers = net(x).argmax(1)
        >>> scan = sensitivity(net, Recipe(), lambda m: (m(x).argmax(1) == answers).float().mean(), sparsities=(0.2, 0.9))
        >>> scan.dense, list(scan.figures), scan.allocation(0.05).to_dict()["sparsity"]
        (1.0, ['0.weight'], {'0.weight': 0.2})

    Source:
        Li et al., *Pruning Filters for Efficient ConvNets*, 2016, arXiv:1608.08710, §3.2; before that Han et al. 2015.
    """
    steps = tuple(sorted(set(map(float, sparsities))))
    if not steps or steps[0] <= 0:
        raise RecipeError(f"sparsities must be fractions removed, > 0 and ≤ 1; got {list(sparsities)}")
    inner, examples = unwrap(model), recipe.recovery.recalibration
    if examples and data is None:
        raise DataError(f"recovery {recipe.recovery.name!r} recalibrates batch norms on training data; pass data=...")
    alone = dc.replace(recipe, allocation=Uniform(), schedule=OneShot(), recovery=KeepTraining())
    pruner = Pruner(inner, alone, example_inputs=example_inputs, data=data, loss=loss)
    rows: dict[str, list[float]] = {name: [] for name in pruner.targets}
    with _put_back(inner) as put_back:
        dense = _figure(evaluate(model), "the dense network")
        for i, (sparsity, name) in enumerate(_trials(pruner, steps, put_back)):
            if examples:
                recalibrate_(inner, data or (), examples=examples, loss=loss)
            rows[name].append(_figure(evaluate(model), f"{name!r} at sparsity {sparsity:g}"))
            if say is not None:
                say(name, i + 1, len(steps) * len(rows))
    return Scan(dense=dense, sparsities=steps, figures={n: tuple(row) for n, row in rows.items()})


def _trials(pruner: Pruner, sparsities: Iterable[float], put_back: Callable[[], None]) -> Iterator[tuple[float, str]]:
    """Every sparsity with every layer: inside the loop's body the model has that layer pruned, and no other."""
    fresh = pruner.state_dict()
    for sparsity in sparsities:
        put_back()
        pruner.load_state_dict(fresh)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="pruning emptied the layer")
            pruned = pruner.prune(sparsity).state_dict()
        for name in pruner.targets:
            put_back()
            pruner.load_state_dict(_only(name, pruner, pruned))
            yield sparsity, name


def _only(name: str, pruner: Pruner, state: dict[str, Any]) -> dict[str, Any]:
    """The state of a pruner that has pruned one layer or group alone."""
    if "units" in state:
        units = {n: alive if n == name else torch.ones_like(alive) for n, alive in state["units"].items()}
        return {**state, "units": units}
    names = (name, *pruner.targets[name].followers)
    return {**state, "masks": {n: m for n, m in state["masks"].items() if n in names}}


@contextmanager
def _put_back(model: nn.Module) -> Iterator[Callable[[], None]]:
    """A function that gives the model its tensors and modes back, called at the end too, after an error as well."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [t.detach().clone() for t in tensors]
    modes = {m: m.training for m in model.modules()}

    @torch.no_grad()
    def put_back() -> None:
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)
        for m, mode in modes.items():
            m.training = mode

    try:
        yield put_back
    finally:
        put_back()


def _figure(value: SupportsFloat, what: str) -> float:
    figure = float(value)
    if math.isnan(figure):
        raise DataError(f"evaluate gave no number (NaN) for {what}; it must return the larger a number, the better the network")
    return figure
