"""The same steps with Torch-Pruning, as its README shows it: a magnitude pruner, half of the channels, outputs left alone."""

from __future__ import annotations

import copy
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from secateur.evaluate.macs import count_macs
from secateur.graph.trace import split_inputs

from .catalog import Entry
from .check import SENSITIVE, Failed, Row, dense, equal, gradients, inputs, run, sensitivity, step
from .double import double_copy
from .packages import installed
from .reference import NormsOfTheRest, distance, outputs, zeroed


def rival(entry: Entry, row: Row, *, load: Callable[..., list[Tensor]] | None = None) -> None:
    """All steps with Torch-Pruning; fills its columns."""
    if installed("torch-pruning") is None:
        row.verdict_tp = "not installed"
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _steps(entry, row, load or unpickled)
        row.verdict_tp = "pass"
    except Failed as e:
        row.verdict_tp, row.detail_tp = e.verdict, e.detail


def _steps(entry: Entry, row: Row, load: Callable[..., list[Tensor]]) -> None:
    model = step("does not run", lambda: dense(entry))
    examples = step("does not run", lambda: inputs(entry, model))
    original = double_copy(model)
    started = time.perf_counter()
    step("error", lambda: prune(model, examples[0]))
    row.seconds_tp = time.perf_counter() - started
    sizes = [sum(p.numel() for p in m.parameters()) for m in (original, model)]
    row.params_tp = sizes[1] / sizes[0]
    where = step("changed", lambda: removed(original, model))
    if not where:
        raise Failed("nothing cut")
    small = double_copy(model)
    equal(small, zeroed(original, where), examples, NormsOfTheRest(where, original))
    if step("insensitive", lambda: sensitivity(entry, small)) < SENSITIVE:
        raise Failed("insensitive")
    step("no gradient", lambda: gradients(copy.deepcopy(model), examples[0]))
    before = run(small, examples[0])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt"
        step("not saved", lambda: torch.save(model, file))
        after = step("not loaded", lambda: load(entry, file, examples[0]))
    if not distance(after, before) < 1e-10:
        raise Failed("loaded another")
    row.macs_tp = step("no count", lambda: count_macs(model, examples[0]).total / count_macs(original, examples[0]).total)


def prune(model: nn.Module, x: Any) -> None:
    """Half of the channels of every group go."""
    import torch_pruning as tp

    args, kwargs = split_inputs(x)
    example = kwargs if kwargs and not args else args[0] if len(args) == 1 else list(args)
    pruner = tp.pruner.BasePruner(
        model,
        example,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=list(last_layers(model, x)),
        output_transform=lambda out: sum(t.sum() for t in outputs(out)),
    )
    pruner.step()


def last_layers(model: nn.Module, x: Any) -> Iterator[nn.Module]:
    """Layers whose result is an output of the model, and linear layers as wide as it has classes."""
    made: dict[int, tuple[nn.Module, Tensor]] = {}
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    hooks = [
        m.register_forward_hook(lambda m, _, out: made.__setitem__(out.data_ptr(), (m, out)))
        for m in model.modules()
        if isinstance(m, kinds)
    ]
    try:
        found = run(model, x)
    finally:
        for hook in hooks:
            hook.remove()
    direct = {id(made[t.data_ptr()][0]) for t in found if t.data_ptr() in made}
    config = getattr(model, "config", None)
    classes = {getattr(config, "num_labels", None), getattr(config, "vocab_size", None), getattr(model, "num_classes", 1000)}
    for m in model.modules():
        if id(m) in direct or (isinstance(m, nn.Linear) and m.out_features in classes):
            yield m


def removed(before: nn.Module, after: nn.Module) -> dict[tuple[str, int], list[int]]:
    """Which indices of which dimension are gone, found by the values that are left: random weights are all different."""
    new = {**dict(after.named_parameters()), **dict(after.named_buffers())}
    gone: dict[tuple[str, int], list[int]] = {}
    for name, old in [*before.named_parameters(), *before.named_buffers()]:
        small = new.get(name)
        if small is None or small.shape == old.shape:
            continue
        if small.dim() != old.dim() or not small.numel():
            raise Failed("changed", f"{name} has shape {tuple(small.shape)}, was {tuple(old.shape)}")
        values, order = old.detach().flatten().sort()
        left = small.detach().to(old.dtype).flatten()
        at = torch.searchsorted(values, left).clamp_max(len(values) - 1)
        if not torch.equal(values[at], left):
            raise Failed("changed", f"{name} holds values that it did not hold")
        places = torch.unravel_index(order[at], old.shape)
        for dim, index in enumerate(places):
            kept = set(index.tolist())
            if len(kept) < old.shape[dim]:
                gone[name, dim] = sorted(set(range(old.shape[dim])) - kept)
    return gone


def unpickled(_: Entry, file: Path, x: Any) -> list[Tensor]:
    """The outputs of a model that was saved whole."""
    return run(torch.load(file, weights_only=False).eval().double(), x)
