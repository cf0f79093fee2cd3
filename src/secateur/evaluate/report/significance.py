"""Is one method better than another at equal compression? Paired by seed, exact where that is possible, corrected for many."""

from __future__ import annotations

import dataclasses as dc
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from ...core.errors import require
from .aggregate import DENSE, pairs
from .data import Point

__all__ = ["Difference", "compare", "fewest", "holm", "sign_flip"]

LEVEL = 0.05
MOST_EXACT = 16  # seeds; beyond these the sign patterns are a sample
SAMPLE = 2**14


@dc.dataclass(frozen=True, kw_only=True)
class Difference:
    """Method ``a`` minus method ``b`` on the same seeds, at one target compression.

    Args:
        task: task of the runs.
        model: network of the runs.
        target: compression asked for.
        a: the method that is judged.
        b: the method it is judged against.
        n: seeds that both have.
        metric: what is compared: ``top1``, a fraction; of language tasks ``loss`` in nats, the logarithm of the perplexity.
        mean: mean difference of it.
        low: lower end of the 95 % t interval; None from a single pair.
        high: upper end.
        p: two-sided, of the exact sign-flip test; None from a single pair.
        p_holm: the same after Holm's correction for all pairs of methods at this compression.
        reachable: the smallest ``p_holm`` that so few seeds could give for the clearest difference of all.
    """

    task: str
    model: str
    target: float
    a: str
    b: str
    n: int
    metric: str
    mean: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    reachable: float

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, ``"not told apart"``, or ``"too few seeds"`` where no difference could have been shown."""
        if self.p_holm is not None and self.p_holm < LEVEL:
            return "better" if (self.mean < 0) == (self.metric == "loss") else "worse"
        return "too few seeds" if self.reachable >= LEVEL else "not told apart"


def compare(points: Iterable[Point]) -> list[Difference]:
    """Every two methods at every target compression, controls included, the dense network not.

    Args:
        points: runs; failed ones are in no pair.
    """
    out: list[Difference] = []
    points = list(points)
    for task, model in pairs(points):
        mine = [p for p in points if (p.task, p.model) == (task, model) and p.method != DENSE]
        methods = list(dict.fromkeys(p.method for p in sorted(mine, key=lambda p: p.control)))
        metric = "loss" if any(p.kind == "language" for p in mine) else "top1"
        done = {(p.method, p.target_compression, p.seed): getattr(p, metric) for p in mine if p.error is None}
        table = {place: value for place, value in done.items() if value is not None}
        for target in sorted({p.target_compression for p in mine}):
            by_method: dict[str, dict[int, float]] = {m: {} for m in methods}
            for (m, t, seed), value in table.items():
                if t == target:
                    by_method[m][seed] = value
            out += _family(task, model, target, metric, by_method)
    return out


def _family(task: str, model: str, target: float, metric: str, by_method: dict[str, dict[int, float]]) -> list[Difference]:
    """All pairs of methods at one compression, corrected together."""
    some = []
    for a, b in itertools.combinations((m for m, seeds in by_method.items() if seeds), 2):
        common = sorted(by_method[a].keys() & by_method[b].keys())
        if common:
            some.append((a, b, [by_method[a][s] - by_method[b][s] for s in common]))
    raw = _many_sign_flips([d for *_, d in some])
    corrected = iter(holm([p for p in raw if p is not None]))
    tested = sum(p is not None for p in raw)
    out = []
    for (a, b, diffs), p in zip(some, raw, strict=True):
        low, high = interval(diffs)
        out.append(
            Difference(
                task=task, model=model, target=target, a=a, b=b, n=len(diffs), metric=metric,
                mean=math.fsum(diffs) / len(diffs), low=low, high=high, p=p, p_holm=None if p is None else next(corrected),
                reachable=min(1.0, max(tested, 1) * 2.0 ** (1 - len(diffs))),
            )
        )  # fmt: skip
    return out


def sign_flip(differences: Sequence[float]) -> float | None:
    """Exact two-sided p: the share of the 2ⁿ sign patterns whose sum is at least as far from 0 as the one seen.

    It assumes only that, were the methods equal, each difference could as well have the other sign.

    Args:
        differences: one a seed.

    Example:
        >>> sign_flip([0.01, 0.02, 0.01]), sign_flip([0.01, -0.02, 0.01]), sign_flip([0.01])
        (0.25, 1.0, None)
    """
    return _many_sign_flips([differences])[0]


def _many_sign_flips(rows: Sequence[Sequence[float]]) -> list[float | None]:
    """``sign_flip`` of many at once: those of the same number of seeds share their signs."""
    np: Any = require("numpy", "report")
    out: list[float | None] = [None] * len(rows)
    for n in {len(r) for r in rows if len(r) > 1}:
        places = [i for i, r in enumerate(rows) if len(r) == n]
        if n <= MOST_EXACT:
            bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n)  # the first half; the other is its mirror image
        else:
            bits = np.random.default_rng(0).integers(0, 2, (SAMPLE, n))
            bits[0] = 0  # the pattern seen counts as one of the sample
        values = np.array([rows[i] for i in places])
        sums = np.abs((1 - 2 * (bits & 1)) @ values.T)
        share = (sums >= np.abs(values.sum(1)) * (1 - 1e-9) - 1e-12).mean(0)
        for i, p in zip(places, share.tolist(), strict=True):
            out[i] = p
    return out


def interval(differences: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % t interval of the mean difference, which takes the differences for normal.

    Example:
        >>> [round(x, 4) for x in interval([0.01, 0.02, 0.03])]
        [-0.0048, 0.0448]
    """
    n = len(differences)
    if n < 2:
        return None, None
    mean = math.fsum(differences) / n
    spread = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    half = _t_quantile(n - 1) * spread
    return mean - half, mean + half


def _t_quantile(freedom: int) -> float:
    return float(require("scipy.special", "report").stdtrit(freedom, 1 - LEVEL / 2))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction, which keeps the chance of one false finding among all at the level asked for.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    out, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, ps[i] * (len(ps) - rank)))
        out[i] = highest
    return out


def fewest(tests: int) -> int:
    """Seeds from which on the clearest difference among so many tests could be shown.

    Example:
        >>> fewest(1), fewest(10)
        (6, 9)
    """
    n = 2
    while max(tests, 1) * 2.0 ** (1 - n) >= LEVEL:
        n += 1
    return n
