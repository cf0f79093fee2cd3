"""Which indices live and die together: union-find over atoms, with products.

Every index of every labelled dimension is one *cell*, an integer. A cell is free, or pinned (it can never be removed),
or a *product*: it disappears as soon as one of its factors does. A dimension of ``heads * width`` indices that a view
splits is such a product, of a head and a position inside it. All operations take whole arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Atoms", "Cells", "compact"]

Cells = npt.NDArray[np.int64]


def compact(rows: Cells) -> Cells:
    """Sets as rows: every value once, from the left, padded with 0, no wider than need be.

    Args:
        rows: ``[n, k]`` cells, 0 for nothing.

    Example:
        >>> compact(np.array([[3, 3, 0], [0, 1, 2]]))
        array([[3, 0],
               [2, 1]])
    """
    if rows.shape[1] < 2:
        return rows
    rows = -np.sort(-rows, axis=1)
    twice = rows[:, 1:] == rows[:, :-1]
    twice &= rows[:, 1:] > 0
    if twice.any():
        rows[:, 1:][twice] = 0
        rows = -np.sort(-rows, axis=1)
    width = int((rows > 0).any(axis=0).sum())
    return rows[:, : max(width, 1)]


class Atoms:
    """The cells and what is known about them. Cell 0 stands for nothing."""

    def __init__(self) -> None:
        self._parent = np.arange(1024)
        self._pin = np.zeros(1024, np.int64)  # of a root: the number of the reason, 0 when free
        self._bound = np.zeros(1024, bool)  # of a root: it is a product
        self._factors = np.zeros((1024, 3), np.int64)
        self._extent = np.zeros(1024, np.int64)  # how many were made at once
        self._count = 1

    def __len__(self) -> int:
        return self._count

    def fresh(self, n: int) -> Cells:
        """``n`` new free cells."""
        start, self._count = self._count, self._count + n
        short = self._count - len(self._parent)
        if short > 0:
            more = max(short, len(self._parent))
            self._parent = np.concatenate([self._parent, np.arange(len(self._parent), len(self._parent) + more)])
            self._pin = np.concatenate([self._pin, np.zeros(more, np.int64)])
            self._bound = np.concatenate([self._bound, np.zeros(more, bool)])
            self._extent = np.concatenate([self._extent, np.zeros(more, np.int64)])
            self._factors = np.concatenate([self._factors, np.zeros((more, self._factors.shape[1]), np.int64)])
        self._extent[start : self._count] = n
        return np.arange(start, self._count)

    def find(self, cells: Cells) -> Cells:
        """The root of each cell."""
        root = self._parent[cells]
        while True:
            up = self._parent[root]
            if np.array_equal(up, root):
                break
            root = self._parent[up]
        self._parent[cells] = root
        return root

    def resolve(self, cells: Cells, *, pinned: bool = False) -> Cells:
        """The set of atoms of each cell, as the rows of ``[n, k]``; pinned atoms left out unless asked for."""
        rows = self.find(cells).reshape(-1, 1)
        while (product := self._bound[rows]).any():
            wide = np.zeros((*rows.shape, self._factors.shape[1]), np.int64)
            wide[..., 0] = np.where(product, 0, rows)
            wide[product] = self._factors[rows[product]]
            rows = compact(self.find(wide.reshape(len(rows), -1)))
        if not pinned and (held := self._pin[rows] > 0).any():
            rows = compact(np.where(held, 0, rows))
        return rows

    def product(self, rows: Cells) -> Cells:
        """Cells that disappear as soon as one atom of their row does: ``[n, k]`` atoms to ``[n]``."""
        rows = compact(rows)
        if rows.shape[1] == 1:
            return rows[:, 0].copy()
        several = rows[:, 1] > 0
        cells = rows[:, 0].copy()
        cells[several] = self.fresh(int(several.sum()))
        self._bind(cells[several], rows[several])
        return cells

    def reasons(self, cells: Cells) -> Cells:
        """Why each cell is pinned, as the number of a reason; 0 where it has an atom that is free."""
        rows = self.resolve(cells, pinned=True)
        pins = np.where(rows > 0, self._pin[rows], 0)
        free = ((pins == 0) & (rows > 0)).any(axis=1)
        return np.where(free, 0, pins.max(axis=1))

    def pin(self, cells: Cells, reason: int | Cells) -> None:
        """These cells can never be removed; nor can any atom of theirs."""
        rows = self.resolve(cells)
        why = np.broadcast_to(np.asarray(reason).reshape(-1, 1), rows.shape)
        self._pin[rows[rows > 0]] = why[rows > 0]

    def unify(self, a: Cells, b: Cells, unsolvable: int = 1) -> bool:
        """From here on the cells of ``a`` and ``b`` disappear together, pair by pair.

        Args:
            a: ``[n]`` cells.
            b: as many.
            unsolvable: the reason noted for atoms that must be pinned to make a pair equal.

        Returns:
            Whether that was news.
        """
        a, b = self.find(a), self.find(b)
        if not (differ := a != b).any():
            return False
        a, b = np.unique(np.stack([a[differ], b[differ]]), axis=1)
        if not self._bound[a].any() and not self._bound[b].any():
            self._union(a, b)
            return True
        news = False
        while self._round(a, b, unsolvable):
            news = True
        return news

    def _round(self, a: Cells, b: Cells, unsolvable: int) -> bool:
        """One step towards equal sets; False when they are equal."""
        x, y = self.resolve(a), self.resolve(b)
        same = x[:, :, None] == y[:, None, :]
        x, y = np.where(same.any(2), 0, x), np.where(same.any(1), 0, y)
        nx, ny = (x > 0).sum(1), (y > 0).sum(1)
        if not (nx + ny).any():
            return False
        alone = (nx == 0) != (ny == 0)
        if alone.any():  # what one side has besides must stay: the other side is pinned, or lives without it
            why = np.maximum(self.reasons(a[alone]), self.reasons(b[alone]))
            rows = np.concatenate([x[alone], y[alone]], axis=1)
            why = np.broadcast_to(np.where(why > 0, why, unsolvable)[:, None], rows.shape)
            self._pin[rows[rows > 0]] = why[rows > 0]
            return True
        x, y = -np.sort(-x, axis=1), -np.sort(-y, axis=1)
        pairs = (nx == 1) & (ny == 1)
        if pairs.any():
            self._union(x[pairs, 0], y[pairs, 0])
            return True
        left, right = (nx == 1) & (ny > 1), (ny == 1) & (nx > 1)
        if left.any():
            self._bind_some(x[left, 0], y[left])
        elif right.any():
            self._bind_some(y[right, 0], x[right])
        else:
            self._pair_off(x[nx > 1], y[nx > 1])
        return True

    def _union(self, a: Cells, b: Cells) -> None:
        """Merge free or pinned roots; a class with one pinned member is pinned."""
        before = np.concatenate([a, b])
        while True:
            a, b = self.find(a), self.find(b)
            differ = a != b
            if not differ.any():
                break
            # where one root is met twice the last write holds; the next turn mends the others
            self._parent[np.maximum(a, b)[differ]] = np.minimum(a, b)[differ]
        np.maximum.at(self._pin, self.find(before), self._pin[before])

    def _bind(self, cells: Cells, rows: Cells) -> None:
        missing = rows.shape[1] - self._factors.shape[1]
        if missing > 0:
            self._factors = np.pad(self._factors, ((0, 0), (0, missing)))
        self._factors[cells, : rows.shape[1]] = rows
        self._bound[cells] = True

    def _bind_some(self, cells: Cells, rows: Cells) -> None:
        """Make atoms products, each once, and none of one that becomes a product itself in the same step."""
        cells, first = np.unique(cells, return_index=True)
        rows = rows[first]
        safe = np.asarray(~np.isin(rows, cells).any(axis=1))
        if not safe.any():
            safe[0] = True
        self._bind(cells[safe], rows[safe])

    def _pair_off(self, x: Cells, y: Cells) -> None:
        """Two products of several atoms each: match factors that were made in equal numbers, else all are one."""
        if x.shape == y.shape:
            x, y = self._by_extent(x), self._by_extent(y)
            if np.array_equal(self._extent[x], self._extent[y]):
                self._union(x[x > 0], y[x > 0])
                return
        every = np.concatenate([x, y], axis=1)
        first = np.broadcast_to(x.max(axis=1, keepdims=True), every.shape)
        self._union(first[every > 0], every[every > 0])

    def _by_extent(self, rows: Cells) -> Cells:
        order = np.lexsort((rows, self._extent[rows]), axis=1)
        return np.take_along_axis(rows, order, axis=1)
