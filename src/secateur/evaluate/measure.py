"""Everything that can be said of a network without data: parameters, multiply-adds, bytes, latency."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..codec import file_size
from ..core.errors import ModelError, SecateurError
from ..graph.trace import ExampleInputs, batch_size, unwrap
from .counters import find_counter
from .definitions import compression_ratio, file_ratio, theoretical_speedup
from .energy import Energy, measured, modelled, stored_words
from .latency import Latency
from .latency import latency as measure_latency
from .macs import Macs, count_macs

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["LayerMeasurement", "Measurement", "measure"]


@dataclass(frozen=True)
class LayerMeasurement:
    """One parameter, or one contraction without a parameter (then shape, nonzero and sparsity are None).

    Attributes:
        name: the parameter's name, or ``module:operation``.
        shape: its shape.
        nonzero: its entries that are not zero.
        sparsity: fraction of its entries that are zero, in [0, 1].
        macs: dense multiply-adds of one example that it takes part in; None when the model could not be traced.
        effective_macs: those that meet a non-zero entry.
    """

    name: str
    shape: tuple[int, ...] | None
    nonzero: int | None
    sparsity: float | None
    macs: int | None
    effective_macs: int | None


@dataclass(frozen=True)
class Measurement:
    """What ``measure`` found; ratios are against the dense network.

    Attributes:
        parameters: parameters of the dense network, a tied one once.
        nonzero: parameters of this network that are not zero; buffers are not counted.
        compression: parameters / nonzero.
        macs: multiply-adds of the dense network for one example; None when it could not be traced.
        effective_macs: multiply-adds of this network that meet a non-zero weight.
        speedup: theoretical speed-up, macs / effective_macs.
        dense_bytes: four times ``parameters``.
        file_bytes: bytes of the file; None when the state cannot be stored.
        file_ratio: dense_bytes / file_bytes.
        latency: of this network on these inputs; None when not asked for.
        batch: examples in the inputs that the latency is of.
        layers: one entry a parameter, then one a contraction without a parameter.
        notes: why something is None, and which operations were counted as 0.
        energy: joules of an inference of one example, measured when it is timed and the machine counts, otherwise modelled;
            None when neither can be.
    """

    parameters: int
    nonzero: int
    compression: float
    macs: int | None
    effective_macs: int | None
    speedup: float | None
    dense_bytes: int
    file_bytes: int | None
    file_ratio: float | None
    latency: Latency | None
    batch: int
    layers: tuple[LayerMeasurement, ...]
    notes: tuple[str, ...] = ()
    energy: Energy | None = None

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON has it; tuples as lists."""
        fields = asdict(self)
        layers = [{**layer, "shape": layer["shape"] and [*layer["shape"]]} for layer in fields["layers"]]
        return {**fields, "layers": layers, "notes": [*self.notes]}

    def __rich__(self) -> Table:
        from ._measure_table import table

        return table(self)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=110)
        console.print(self)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined, no-any-return]


def measure(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    dense: Mapping[str, Any] | Measurement | nn.Module | None = None,
    latency: bool = True,
    path: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Measurement:
    """Measure a network as Blalock et al. 2020 define it, and its latency on this machine.

    Args:
        model: the network, pruned or not.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        dense: what the ratios are against, when it is not this network with its zeros filled: the dense module, its
            own measurement, or that measurement's ``to_dict()``.
        latency: whether to time it.
        path: the file it is stored in; by default the size of the file that ``save`` would write is found.
        threads: threads for the latency; by default torch's present number.

    Raises:
        ModelError: example inputs of no accepted form, or a ``dense`` that is none of these.

    Example:
        >>> model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        >>> _ = nn.init.zeros_(model[0].weight)
        >>> m = measure(model, torch.zeros(1, 64), latency=False)
        >>> m.parameters, m.nonzero, m.macs, m.effective_macs, m.speedup
        (2410, 362, 2368, 320, 7.4)

    Reference:
        Blalock et al. 2020, What is the State of Neural Network Pruning?, section 6.
    """
    batch, notes = batch_size(example_inputs), list[str]()
    macs = _macs(model, example_inputs, notes)
    parameters, dense_macs = _baseline(model, macs, dense, example_inputs, notes)
    layers = _layers(model, macs)
    nonzero = sum(layer.nonzero or 0 for layer in layers)
    effective = macs.effective if macs else None
    speedup = None if effective is None or dense_macs is None else theoretical_speedup(dense_macs, effective)
    size = _file_bytes(model, path, notes)
    return Measurement(
        parameters=parameters,
        nonzero=nonzero,
        compression=compression_ratio(parameters, nonzero),
        macs=dense_macs,
        effective_macs=effective,
        speedup=speedup,
        dense_bytes=4 * parameters,
        file_bytes=size,
        file_ratio=None if size is None else file_ratio(4 * parameters, size),
        latency=measure_latency(model, example_inputs, threads=threads) if latency else None,
        batch=batch,
        layers=layers,
        notes=tuple(notes),
        energy=_energy(model, example_inputs, macs, layers, counted=latency),
    )


def _energy(
    model: nn.Module, example_inputs: ExampleInputs, macs: Macs | None, layers: tuple[LayerMeasurement, ...], *, counted: bool
) -> Energy | None:
    tensor = next(iter([*model.parameters(), *model.buffers()]), None)
    counter = find_counter("cpu" if tensor is None else tensor.device) if counted else None
    if counter is not None:
        with suppress(ModelError):  # the counter did not move: the model has to do
            return Energy(measured(model, example_inputs, counter), counter.how)
    if macs is None:
        return None
    sizes = [(math.prod(x.shape), x.nonzero) for x in layers if x.shape is not None and x.nonzero is not None]
    return modelled(macs.effective, stored_words(sizes), macs.values, batch=macs.batch)


def _macs(model: nn.Module, example_inputs: ExampleInputs, notes: list[str]) -> Macs | None:
    try:
        macs = count_macs(model, example_inputs, warn=False)
    except ModelError as e:
        notes.append(f"multiply-adds are not known: {e}")
        return None
    if macs.uncounted:
        notes.append(f"counted as 0 multiply-adds, for want of a rule: {', '.join(macs.uncounted)}")
    return macs


def _baseline(
    model: nn.Module, macs: Macs | None, dense: Any, example_inputs: ExampleInputs, notes: list[str]
) -> tuple[int, int | None]:
    """Parameters and multiply-adds of the dense network."""
    if dense is None:
        return sum(p.numel() for p in model.parameters()), macs.total if macs else None
    if isinstance(dense, nn.Module):
        found = _macs(dense, example_inputs, notes)
        return sum(p.numel() for p in dense.parameters()), found.total if found else None
    fields = dense.to_dict() if isinstance(dense, Measurement) else dense
    if isinstance(fields, Mapping) and isinstance(fields.get("parameters"), int) and "macs" in fields:
        return fields["parameters"], fields["macs"]
    raise ModelError(
        f"dense must be a module, a measurement or a mapping with 'parameters' and 'macs'; got {type(dense).__name__}"
    )


def _layers(model: nn.Module, macs: Macs | None) -> tuple[LayerMeasurement, ...]:
    counts = macs.by_name() if macs else {}
    rows = []
    for name, p in unwrap(model).named_parameters():
        nonzero = p.numel() if p.is_meta else int(torch.count_nonzero(p.detach()))
        dense, effective = counts.pop(name, (0, 0)) if macs else (None, None)
        sparsity = 1 - nonzero / p.numel() if p.numel() else 0.0
        rows.append(LayerMeasurement(name, tuple(p.shape), nonzero, sparsity, dense, effective))
    return (*rows, *(LayerMeasurement(name, None, None, None, d, e) for name, (d, e) in counts.items()))


def _file_bytes(model: nn.Module, path: str | os.PathLike[str] | None, notes: list[str]) -> int | None:
    try:
        return file_size(model) if path is None else Path(path).stat().st_size
    except (SecateurError, OSError) as e:
        notes.append(f"the size of the file is not known: {e}")
        return None
