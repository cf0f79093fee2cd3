"""Random weights through which a signal passes.

Initial weights make poor witnesses: a layer scale of 1e-6, a zero-initialised last norm or weights of 0.02 in a small
model leave an output that hardly depends on its input, and then everything is equal to everything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateur.graph.trace import call

from .reference import distance

GAINS = (1.5, 0.7, 3.0, 0.0)
ENOUGH = 1e-2  # relative change of the output with the input


def liven_(model: nn.Module, examples: Sequence[Any], answer: Callable[[nn.Module, Any], list[Tensor]], seed: int = 1) -> None:
    """Give all weights new random values, and batch norms the statistics of an example; in evaluation mode.

    Of several scales that is taken at which the output changes most with the input, or the first at which it changes enough.

    Args:
        model: changed in place.
        examples: two inputs.
        answer: the outputs of a model for an input.
        seed: of the random numbers.
    """
    model.eval()
    before, best, most = copy.deepcopy(model.state_dict()), 0.0, -1.0
    for gain in (*GAINS, None):
        _fill(model, before, best if gain is None else gain, seed)
        with torch.no_grad(), _measuring(model):
            call(model, examples[0])
        if gain is None:
            return
        a, b = (answer(model, x) for x in examples)
        change = distance(a, b) if not any(bool(x.isnan().any()) for x in (*a, *b)) else -1.0
        if most < change < float("inf"):
            best, most = gain, change
        if most > ENOUGH:
            return


@torch.no_grad()
def _fill(model: nn.Module, before: dict[str, Tensor], gain: float, seed: int) -> None:
    model.load_state_dict(before)
    if not gain:
        return  # some models have weights that only their own initial values fit
    random = torch.Generator().manual_seed(seed)
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for p in model.parameters():
        if not p.is_floating_point() or not p.numel():
            continue
        noise = torch.randn(p.shape, generator=random, dtype=torch.float64)
        if p.dim() > 1:
            fan_in = p[0].numel() if p[0].numel() > 1 else p.numel()
            p.copy_(noise if id(p) in tables else noise * (gain / fan_in**0.5))
        else:
            p.add_(noise * 0.2)  # scales stay near one, shifts near nothing, and none is equal to another
    for name, b in model.named_buffers():
        if name.endswith("running_var"):
            b.uniform_(0.5, 1.5, generator=random)
        elif name.endswith("running_mean"):
            b.normal_(0, 0.2, generator=random)


@contextmanager
def _measuring(model: nn.Module) -> Iterator[None]:
    """Batch norms take over the statistics of what passes through."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.training, m.momentum = True, 1.0
    try:
        yield
    except ValueError:
        pass  # a single value a channel has no variance: the random statistics stay
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.training, m.momentum = False, momentum
            if not (m.running_mean.isfinite().all() and m.running_var.isfinite().all()):
                m.reset_running_stats()
