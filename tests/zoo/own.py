"""The networks that the tests of the graph are made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .catalog import Entry


def like(x: Any, batch: int, seed: int) -> Any:
    """Other random numbers of the same kind, for another batch size."""
    random = torch.Generator().manual_seed(seed)
    if isinstance(x, Tensor):
        shape = (batch, *x.shape[1:])
        if x.is_floating_point():
            return torch.randn(shape, generator=random, dtype=x.dtype)
        return torch.randint(0, int(x.max()) + 1, shape, generator=random)
    return {k: like(v, batch, seed + i) for i, (k, v) in enumerate(x.items())}


def entries() -> Iterator[Entry]:
    """All of them."""
    folder = str(Path(__file__).parents[1] / "graph")
    if folder not in sys.path:
        sys.path.append(folder)
    import nets
    from test_oracle import MODELS

    for name, (make, x, _) in MODELS.items():

        def build(make: Any = make, x: Any = x) -> nn.Module:
            return nets.built(make, x)

        yield Entry("own", name, build, lambda _, batch, seed, x=x: like(x, batch, seed))
