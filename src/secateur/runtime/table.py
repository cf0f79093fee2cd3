"""What the run loop reads: steps one by one, and steps that go through the tiles together as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .jit import addresses
from .kernels.run.cpu import NAMES, module

if TYPE_CHECKING:
    from .plan import Layout, Step

__all__ = ["table"]


def table(layout: Layout, chains: list[list[Step]]) -> tuple[NDArray[np.int64], list[Any]]:
    """Address, job and tasks of everything that is run, and the arrays that they point to.

    Args:
        layout: of the values.
        chains: steps in order, in lists of those that may go through the tiles together.
    """
    rows: list[tuple[int, int, int]] = []
    keep: list[Any] = []
    for steps in (together for chain in chains for together in _by_tile(chain)):
        if len(steps) > 1:
            tiles = layout.places[steps[0].op.name].space.tiles
            words = [w for s in steps for w in (s.address, s.job.ctypes.data, s.tasks // tiles)]
            keep.append(np.array([len(steps), *words], np.int64))
            chain = addresses(module(layout.cpu), layout.cpu, NAMES)["chain"]
            rows.append((chain, keep[-1].ctypes.data, tiles))
        else:
            rows += [(s.address, s.job.ctypes.data, s.tasks) for s in steps]
    return np.array(rows, np.int64).reshape(-1, 3), keep


def _by_tile(chain: list[Step]) -> list[list[Step]]:
    """A chain's steps, those in one list whose tasks all follow each other tile by tile."""
    found: list[list[Step]] = []
    for step in chain:
        if found and step.by_tile and found[-1][-1].by_tile:
            found[-1].append(step)
        else:
            found.append([step])
    return found
