"""Sums of products: a dimension that is summed over is consumed, one that is not is produced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..labelling import rule
from ..views import Dims, Labels, merge

if TYPE_CHECKING:
    from torch import fx

    from ..labelling import Labelling


@rule("linear")
def linear(p: Labelling, x: fx.Node, weight: fx.Node, bias: fx.Node | None = None) -> Dims:
    """``x @ weight.T + bias``."""
    dims, w = p.of(x), p.of(weight)
    if len(w) == 1:
        p.contract(dims[-1], p.consume(weight, w[0]))
        return dims[:-1]
    p.contract(dims[-1], p.consume(weight, w[1]))
    out = p.produce(weight, w[0])
    if bias is None:
        return [*dims[:-1], out]
    if p.shape(bias):
        p.join(out, p.of(bias)[0])
    return [*(p.alive(d) for d in dims[:-1]), out]  # a row of zeros becomes the bias


@rule("addmm", "addbmm", "baddbmm", "addmv")
def add_product(p: Labelling, bias: fx.Node, a: fx.Node, b: fx.Node, **_: Any) -> Dims:
    """A product, and what is added to it by broadcasting."""
    out: Dims = matmul(p, a, b)
    shape = [*p.shape(a)[:-1], *p.shape(b)[-1:]]
    given: Dims = [*[0] * (len(out) - len(p.shape(bias))), *p.of(bias)]
    small = [1] * (len(out) - len(p.shape(bias))) + list(p.shape(bias))
    for k, (labels, n) in enumerate(zip(given, small, strict=True)):
        if n != 1 and shape[k] != 1:
            p.join(out[k], labels)
        if n == 1 or isinstance(labels, int):
            out[k] = p.alive(out[k])  # a row of zeros becomes the bias
    return out


@rule("matmul", "bmm", "mm", "mv", "dot", "vdot")
def matmul(p: Labelling, a: fx.Node, b: fx.Node) -> Dims:
    """The last dimension of the one with the last but one of the other; what stands before is matched."""
    da, db, sa, sb = p.of(a), p.of(b), p.shape(a), p.shape(b)
    p.contract(p.consume(a, da[-1]), p.consume(b, db[-2] if len(sb) > 1 else db[0]))
    if len(sb) == 1:
        return da[:-1]
    if len(sa) == 1:
        return [*db[:-2], p.produce(b, db[-1])]
    lead: Dims = []
    for k in range(max(len(sa), len(sb)), 2, -1):
        x = (da[-k], sa[-k]) if len(sa) >= k else (0, 1)
        y = (db[-k], sb[-k]) if len(sb) >= k else (0, 1)
        lead.append(y[0] if x[1] == 1 else x[0] if y[1] == 1 else p.times(x[0], y[0]))
    return [*lead, p.produce(a, da[-2]), p.produce(b, db[-1])]


@rule("_grouped_mm", "grouped_mm", "grouped_mm_fallback")
def grouped_matmul(p: Labelling, a: fx.Node, b: fx.Node, *_: Any, **__: Any) -> Any:
    """Rows sorted by expert, ``[n, k] × [experts, k, m]``; experts are told apart by number."""
    if len(p.shape(a)) != 2 or len(p.shape(b)) != 3:
        return NotImplemented
    experts, given, out = p.of(b)
    p.pin(experts, "experts are picked by number")
    p.contract(p.of(a)[1], p.consume(b, given))
    return [p.of(a)[0], p.produce(b, out)]


@rule("bilinear")
def bilinear(p: Labelling, a: fx.Node, b: fx.Node, weight: fx.Node, bias: fx.Node | None = None) -> Dims:
    """A weight with an output dimension and two input dimensions."""
    out, left, right = p.of(weight)
    p.contract(p.of(a)[-1], p.consume(weight, left))
    p.contract(p.of(b)[-1], p.consume(weight, right))
    if bias is not None:
        p.join(out, p.of(bias)[0])
    return [*(d if bias is None else p.alive(d) for d in p.of(a)[:-1]), p.produce(weight, out)]


@rule("einsum")
def einsum(p: Labelling, equation: str, operands: Sequence[fx.Node], **_: Any) -> Any:
    """Letters are dimensions; one that the result lacks is summed over."""
    terms, right = _spelled_out(equation, [len(p.shape(x)) for x in operands])
    met: dict[str, list[tuple[fx.Node, Labels]]] = {letter: [] for letter in "".join(terms)}
    for term, x in zip(terms, operands, strict=True):
        if len(set(term)) < len(term):
            return NotImplemented  # a diagonal
        for letter, labels, n in zip(term, p.of(x), p.shape(x), strict=True):
            met[letter] += [(x, labels)] if n != 1 else []
    known = {letter: _over(p, found, letter in right) for letter, found in met.items()}
    return [known[letter] for letter in right]


def _over(p: Labelling, met: list[tuple[fx.Node, Labels]], stays: bool) -> Labels:
    """One letter of an einsum: its labels in the result, where it is multiplied, or 0 where it is summed over."""
    if not met:
        return 0
    for x, labels in met:
        if not stays:
            p.consume(x, labels)
        elif len(met) == 1:
            p.produce(x, labels)
    factors = [labels for _, labels in met]
    if not stays and len(factors) == 1:
        p.add_up(factors[0], "an einsum adds it up")
        return 0
    product = factors[0]
    for labels in factors[1:] if stays else factors[1:-1]:
        product = p.times(product, labels)
    if not stays:
        p.contract(product, factors[-1])
    return product if stays else 0


def _spelled_out(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The terms and the result of an einsum, with digits for the dimensions of an ellipsis.

    Example:
        >>> _spelled_out("...qd, ...kd -> ...qk", [4, 3])
        (['01qd', '1kd'], '01qk')
        >>> _spelled_out("ij,jk", [2, 2])
        (['ij', 'jk'], 'ik')
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    hidden = [n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, ranks, strict=True)]
    digits = "".join(map(str, range(max(hidden))))
    terms = [t.replace("...", digits[len(digits) - n :]) for t, n in zip(terms, hidden, strict=True)]
    if not arrow:
        letters = left.replace("...", "").replace(",", "")
        right = "..." + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return terms, right.replace("...", digits)


@rule("scaled_dot_product_attention")
def attention(p: Labelling, q: fx.Node, k: fx.Node, v: fx.Node, mask: fx.Node | None = None, *_: Any, **__: Any) -> Dims:
    """Queries, keys and values share their heads; a key head that serves several query heads goes with all of them."""
    dq, dk, dv = p.of(q), p.of(k), p.of(v)
    p.contract(dq[-1], dk[-1])
    p.pin(p.join(dk[-2], dv[-2]), "softmax runs over it")
    lead: Dims = []
    for i, (n, m) in enumerate(zip(p.shape(q)[:-2], p.shape(k)[:-2], strict=True)):
        both = p.join(dk[i], dv[i]) if p.shape(v)[i] == m else dk[i]
        if n == m:
            lead.append(p.times(p.alive(dq[i]), both))  # zero where the values are, whatever the weights
        elif m == 1:
            lead.append(p.alive(dq[i]))
        else:
            copies = merge(p.atoms, [p.cells(both, m), p.atoms.fresh(n // m)], [m, n // m])
            lead.append(p.alive(p.join(dq[i], copies)))
    if mask is not None:
        scores: Dims = [*lead, dq[-2], dk[-2]]
        for i, (labels, n) in enumerate(zip(reversed(p.of(mask)), reversed(p.shape(mask)), strict=True), 1):
            if n > 1:
                p.join(scores[-i], labels)
    return [*lead, dq[-2], dv[-1]]
