"""Attention of one head for T vectors of queries: scores, softmax and the sum of values, all with queries in the lanes.

``S[j] = s·Σ_d k[d, j]·q[d] + m[j]``, ``P = exp(S − max S)``, ``y[d] = Σ_j v[d, j]·P[j] / Σ_j P[j]``: every number of k and v
is broadcast, every sum is over rows, so that nothing crosses lanes. Scores of one task lie on the stack. A mask ``m`` lies with
its queries side by side, too; causal attention needs none, and leaves out the keys behind a tile's last query.
"""

from __future__ import annotations

import math

from ...ir import Function, vector
from ...target import Target
from ..common import blank, constant, declare, part_of
from ..pointwise.functions import exp

__all__ = ["FIELDS", "KEYS", "module"]

FIELDS = (
    "q", "q_tile", "q_row", "k", "k_tile", "k_row", "v", "v_tile", "v_row", "y", "y_tile", "y_row",
    "parts", "per_head", "depth", "keys", "tile", "scale", "*mask",  # parts in all for a head; floats of a tile
    "added", "added_head", "added_key", "*fixed",  # a mask's start inside, or where; bytes from head to head, key to key
)  # fmt: skip
KEYS = 4  # keys, or rows of the result, worked on together


def module(target: Target, vectors: int, masked: bool = False, causal: bool = False) -> str:
    """IR of ``@attention(job, workspace, task)``; a task is a head and a tile of queries.

    Args:
        target: the CPU.
        vectors: T, of a tile.
        masked: something is added to the scores.
        causal: a query sees the keys up to its own place.
    """
    return "\n".join([declare(target), _Attention(target, vectors, masked, causal).text()])


class _Attention:
    def __init__(self, target: Target, vectors: int, masked: bool, causal: bool) -> None:
        self.w, self.t, self.v = target.width, vectors, vector(target.width)
        self.masked, self.causal = masked, causal
        self.f = f = Function("void @attention(ptr %job, ptr %workspace, i64 %task)")
        self.a = a = f.fields("%job", FIELDS)
        head, part = f.let(f"udiv i64 %task, {a['per_head']}"), f.let(f"urem i64 %task, {a['per_head']}")
        at, place = part_of(f, a, target, vectors, part)
        channel = f.let(f"mul i64 {head}, {a['depth']}")
        first = {s: f.let(f"mul i64 {channel}, {a[s + '_row']}") for s in "qkvy"}
        self.q, self.y = f.at(at["q"], first["q"]), f.at(at["y"], first["y"])
        self.k, self.value = (f.at(f.at("%workspace", a[s]), first[s]) for s in "kv")
        self.mask = f.at(a["mask"], place)
        self.scale = f.splat(self.w, f.let(f"bitcast i32 {f.let('trunc i64 ' + a['scale'] + ' to i32')} to float"))
        self.query = f.let(f"mul i64 {part}, {self.w * vectors}")
        self.keys = a["keys"]
        if causal:
            end = f.let(f"add i64 {self.query}, {self.w * vectors}")
            self.keys = f.let(f"select i1 {f.let(f'icmp slt i64 {end}, ' + a['keys'])}, i64 {end}, i64 {a['keys']}")
        if masked:
            inside = f.let(f"icmp eq ptr {a['fixed']}, null")
            start = f.let(f"select i1 {inside}, ptr {f.at('%workspace', a['added'])}, ptr {a['fixed']}")
            self.added = f.at(f.at(start, f.let(f"mul i64 {head}, {a['added_head']}")), self.query, "float")
        self.padded = f.let(f"and i64 {f.let(f'add i64 {self.keys}, {KEYS - 1}')}, {-KEYS}")
        size = f.let(f"mul i64 {self.padded}, {self.w * vectors}")
        self.scores = f.let(f"alloca float, i64 {size}, align 64")
        self._emit()

    def text(self) -> str:
        return self.f.text()

    def _emit(self) -> None:
        f = self.f
        largest = self._scores()
        inverse = self._softmax(largest)
        with f.loop(0, self.a["depth"], KEYS) as d:
            self._rows(d.index, inverse)
        f.run("ret void")

    def _key(self, base: str, side: str, j: str) -> str:
        """The address of a key's first channel."""
        f, a = self.f, self.a
        tile, within = f.let(f"udiv i64 {j}, {a['tile']}"), f.let(f"urem i64 {j}, {a['tile']}")
        return f.at(f.at(base, f.let(f"mul i64 {tile}, {a[side + '_tile']}")), within, "float")

    def _row(self, j: str) -> str:
        return self.f.at(self.scores, self.f.let(f"mul i64 {j}, {self.t}"), self.v)

    def _scores(self) -> list[str]:
        """All scores, and the largest of every query."""
        f, v, n = self.f, self.v, self.t
        with f.loop(0, self.padded, KEYS, carry=[(v, constant(self.w, -math.inf))] * n) as j:
            key = self._key(self.k, "k", j.index)
            with f.loop(0, self.a["depth"], carry=[(v, "zeroinitializer")] * (KEYS * n)) as d:
                row, keys = (f.at(p, f.let(f"mul i64 {d.index}, {self.a[s]}")) for p, s in ((self.q, "q_row"), (key, "k_row")))
                q = [f.load(v, row, t) for t in range(n)]
                for b in range(KEYS):
                    k = f.splat(self.w, f.load("float", keys, b))
                    d.next += [f.fma(self.w, k, q[t], d.values[b * n + t]) for t in range(n)]
            best = j.values
            for b in range(KEYS):
                index = f.let(f"add i64 {j.index}, {b}")
                there = f.let(f"icmp slt i64 {index}, {self.keys}")
                to = self._row(index)
                for t in range(n):
                    s = self._score(d.results[b * n + t], index, t)
                    f.store(v, s, to, t)
                    above = f.let(f"fcmp ogt {v} {s}, {best[t]}")
                    larger = f.let(f"select {vector(self.w, 'i1')} {above}, {v} {s}, {v} {best[t]}")
                    best = [*best[:t], f.let(f"select i1 {there}, {v} {larger}, {v} {best[t]}"), *best[t + 1 :]]
            j.next = best
        return j.results

    def _score(self, product: str, key: str, t: int) -> str:
        """A key's score of one vector of queries; what a query may not see is −∞."""
        f, v, w = self.f, self.v, self.w
        score = f.let(f"fmul {v} {product}, {self.scale}")
        if self.masked:
            row = f.at(self.added, f.let(f"mul i64 {key}, {self.a['added_key']}"))
            score = f.let(f"fadd {v} {score}, {f.load(v, row, t)}")
        if not self.causal:
            return score
        whole = vector(w, "i32")
        before = f.let(f"trunc i64 {f.let(f'sub i64 {key}, {self.query}')} to i32")  # lanes whose query comes before the key
        one = f.let(f"insertelement {whole} poison, i32 {before}, i32 0")
        before = f.let(f"shufflevector {whole} {one}, {whole} poison, {whole} zeroinitializer")
        lanes = "<" + ", ".join(f"i32 {t * w + i}" for i in range(w)) + ">"
        hidden = f.let(f"icmp sgt {whole} {before}, {lanes}")
        return f.let(f"select {vector(w, 'i1')} {hidden}, {v} {constant(w, -math.inf)}, {v} {score}")

    def _softmax(self, largest: list[str]) -> list[str]:
        """Scores to exponentials, in place; 1 / their sums."""
        f, v, n = self.f, self.v, self.t
        with f.loop(0, self.keys, carry=[(v, "zeroinitializer")] * n) as j:
            row = self._row(j.index)
            for t in range(n):
                s = f.let(f"fsub {v} {f.load(v, row, t)}, {largest[t]}")
                p = exp(f, self.w, s)
                if self.masked or self.causal:  # not even the least there is; and of nothing but −∞, nothing
                    seen = f.let(f"fcmp ogt {v} {s}, {constant(self.w, -87.3)}")
                    p = f.let(f"select {vector(self.w, 'i1')} {seen}, {v} {p}, {v} zeroinitializer")
                f.store(v, p, row, t)
                j.next.append(f.let(f"fadd {v} {j.values[t]}, {p}"))
        found = []
        for s in j.results:
            some = f.let(f"fcmp une {v} {s}, zeroinitializer")
            one = f.let(f"fdiv {v} {constant(self.w, 1.0)}, {s}")
            found.append(f.let(f"select {vector(self.w, 'i1')} {some}, {v} {one}, {v} zeroinitializer"))
        return found

    def _rows(self, first: str, inverse: list[str]) -> None:
        """Some rows of the result: over all keys, tile by tile."""
        f, v, n, a = self.f, self.v, self.t, self.a
        start = f.at(self.value, f.let(f"mul i64 {first}, {a['v_row']}"))
        carry = [(v, "zeroinitializer")] * (KEYS * n)
        with f.loop(0, self.keys, a["tile"], carry=carry) as tile:
            values = self._key(start, "v", tile.index)
            left = f.let(f"sub i64 {self.keys}, {tile.index}")
            short = f.let(f"icmp slt i64 {left}, {a['tile']}")
            count = f.let(f"select i1 {short}, i64 {left}, i64 {a['tile']}")
            scores = self._row(tile.index)
            with f.loop(0, count, carry=[(v, s) for s in tile.values]) as j:
                row = f.at(scores, f.let(f"mul i64 {j.index}, {n}"), v)
                p = [f.load(v, row, t) for t in range(n)]
                for b in range(KEYS):
                    channel = f.at(values, f.let(f"mul i64 {a['v_row']}, {b}"))
                    x = f.splat(self.w, f.load("float", channel, j.index))
                    j.next += [f.fma(self.w, x, p[t], j.values[b * n + t]) for t in range(n)]
            tile.next = j.results
        to = f.at(self.y, f.let(f"mul i64 {first}, {a['y_row']}"))
        for b in range(KEYS):
            row = f.at(to, f.let(f"mul i64 {a['y_row']}, {b}"))
            for t in range(n):
                value = f.let(f"fmul {v} {tile.results[b * n + t]}, {inverse[t]}")
                f.store(v, blank(f, self.w, value, f.load(vector(self.w, "i32"), self.mask, t)), row, t)
