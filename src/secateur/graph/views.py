"""What a reshape does to the labels of dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from .atoms import Atoms, Cells, compact

__all__ = ["Dims", "Labels", "merge", "reshape", "segments", "split"]

# The cells of a dimension, one per index; or, where no index can ever be removed, the number of the reason.
Labels: TypeAlias = "Cells | int"
Dims: TypeAlias = "list[Labels]"


def reshape(atoms: Atoms, dims: Dims, before: Sequence[int], after: Sequence[int]) -> Dims:
    """Labels after a view of sizes ``before`` as sizes ``after``.

    Raises:
        ValueError: a size is 0, which stands for one that depends on data.
    """
    if 0 in before or 0 in after:
        raise ValueError(f"no labels for a view of {tuple(before)} as {tuple(after)}")
    out: Dims = []
    for ins, outs in segments(before, after):
        out += _segment(atoms, [dims[k] for k in ins], [before[k] for k in ins], [after[k] for k in outs])
    return out


def segments(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The shortest runs of dimensions whose sizes have equal products."""
    i = j = 0
    while i < len(before) or j < len(after):
        ins, outs, p, q = [], [], 1, 1
        if i < len(before):
            ins.append(i)
            p, i = before[i], i + 1
        if j < len(after):
            outs.append(j)
            q, j = after[j], j + 1
        while p != q:
            if p < q:
                ins.append(i)
                p, i = p * before[i], i + 1
            else:
                outs.append(j)
                q, j = q * after[j], j + 1
        yield ins, outs


def _segment(atoms: Atoms, dims: Dims, before: list[int], after: list[int]) -> Dims:
    if len(before) == len(after) == 1:
        return [dims[0]]
    ins = [k for k, n in enumerate(before) if n != 1]
    outs = [k for k, n in enumerate(after) if n != 1]
    result: Dims = [0] * len(after)
    merged = merge(atoms, [dims[k] for k in ins], [before[k] for k in ins]) if ins else 0
    parts = split(atoms, merged, [after[k] for k in outs])
    for k, labels in zip(outs, parts, strict=True):
        result[k] = labels
    return result


def merge(atoms: Atoms, dims: Dims, sizes: Sequence[int]) -> Labels:
    """Labels of several dimensions seen as one: an index disappears when any of its parts does."""
    labelled = [k for k, d in enumerate(dims) if not isinstance(d, int)]
    if not labelled:
        return max((d for d in dims if isinstance(d, int)), default=0)
    if len(dims) == 1:
        return dims[0]
    parts = []
    for k in labelled:
        cells = dims[k]
        assert not isinstance(cells, int)
        rows = cells[:, None] if len(labelled) == 1 else atoms.resolve(cells, pinned=True)
        shape = [1] * len(sizes) + [rows.shape[1]]
        shape[k] = sizes[k]
        parts.append(np.broadcast_to(rows.reshape(shape), (*sizes, rows.shape[1])).reshape(-1, rows.shape[1]))
    return np.ascontiguousarray(parts[0][:, 0]) if len(parts) == 1 else atoms.product(np.concatenate(parts, axis=1))


def split(atoms: Atoms, labels: Labels, sizes: Sequence[int]) -> Dims:
    """Labels of one dimension seen as several: each index becomes a product of the indices it falls into.

    What is known to be such a product already is recognised; else the parts get fresh cells.
    """
    if isinstance(labels, int) or len(sizes) < 2:
        return [labels] * len(sizes)
    rows = atoms.resolve(labels)
    if not rows.any():
        return [int(atoms.reasons(labels).max())] * len(sizes)
    known = [_shared(rows.reshape(*sizes, -1), k) for k in range(len(sizes))]
    if not _covered(rows, known, sizes):
        bare = [k for k, have in enumerate(known) if not have.any()] or list(range(len(sizes)))
        for k in bare:
            known[k] = compact(np.concatenate([known[k], atoms.fresh(sizes[k])[:, None]], axis=1))
        parts = [_spread(have, k, sizes) for k, have in enumerate(known)]
        atoms.unify(labels, atoms.product(np.concatenate(parts, axis=1)))
    return [atoms.product(have) if have.any() else 1 for have in known]


def _spread(rows: Cells, axis: int, sizes: Sequence[int]) -> Cells:
    """Rows of one dimension, repeated over the others: ``[size, k]`` to ``[product of sizes, k]``."""
    shape = [1] * len(sizes) + [rows.shape[1]]
    shape[axis] = sizes[axis]
    return np.broadcast_to(rows.reshape(shape), (*sizes, rows.shape[1])).reshape(-1, rows.shape[1])


def _shared(grid: Cells, axis: int) -> Cells:
    """The atoms that every element of a slice has, slice by slice along ``axis``."""
    slices = np.moveaxis(grid, axis, 0)
    slices = slices.reshape(len(slices), -1, grid.shape[-1])
    first = slices[:, 0]
    everywhere = (slices[:, :, None, :] == first[:, None, :, None]).any(axis=3).all(axis=1)
    return compact(np.where(everywhere, first, 0))


def _covered(rows: Cells, known: list[Cells], sizes: Sequence[int]) -> bool:
    """Whether the parts explain every atom of the whole."""
    have = np.concatenate([_spread(k, axis, sizes) for axis, k in enumerate(known)], axis=1)
    return bool(((rows[:, :, None] == have[:, None, :]).any(axis=2) | (rows == 0)).all())
