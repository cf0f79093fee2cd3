"""Random weights through which a signal passes.

Initial weights make poor witnesses: a layer scale of 1e-6, a zero-initialised last norm or weights of 0.02 in a small
model leave an output that hardly depends on its input, and then everything is equal to everything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateur.graph.trace import call


def liven_(model: nn.Module, inputs: Any, outputs: Callable[[Any], list[Tensor]], seed: int = 1) -> nn.Module:
    """Give all weights new random values, and batch norms the statistics of an example; in evaluation mode."""
    model.eval()
    before = copy.deepcopy(model.state_dict())
    for gain in (1.5, 0.7, 0.0):
        if gain:
            _fill(model, gain, seed)
        else:
            model.load_state_dict(before)  # some models have weights that only their own initial values fit
        with torch.no_grad(), _measuring(model):
            call(model, inputs)
        with torch.no_grad():
            if all(bool(x.isfinite().any()) and not bool(x.isnan().any()) for x in outputs(call(model, inputs))):
                break
    return model


@torch.no_grad()
def _fill(model: nn.Module, gain: float, seed: int) -> None:
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
