"""Activations on vectors, written with additions, products and one division.

``exp`` is ``2^n · 2^f`` with ``n`` the nearest whole number to ``x·log2 e`` and a polynomial for ``2^f`` on [−½, ½]; the
error function is the rational approximation of Abramowitz and Stegun 7.1.26 refined to float32. Some functions have a parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ...ir import Function, vector
from ..common import constant

__all__ = ["FUNCTIONS", "activate", "exp"]


def exp(f: Function, w: int, x: str) -> str:
    """``e^x`` to 2 units in the last place; 0 below −87.3, 3.4e38 above 88.7."""
    v, whole = vector(w), vector(w, "i32")
    x = f.clamp(v, x, constant(w, -87.3), constant(w, 88.37))
    n = f.let(f"call {v} @llvm.rint.v{w}f32({v} {f.let(f'fmul {v} {x}, {constant(w, math.log2(math.e))}')})")
    r = f.fma(w, n, constant(w, -0.693359375), x)  # ln 2 in two parts, so that the first product is exact
    r = f.fma(w, n, constant(w, 2.12194440e-4), r)
    p = constant(w, 1 / 5040)
    for k in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = f.fma(w, p, r, constant(w, k))
    bits = f.let(f"fptosi {v} {n} to {whole}")
    bits = f.let(f"add {whole} {bits}, {constant(w, 127, 'i32')}")
    power = f.let(f"shl {whole} {bits}, {constant(w, 23, 'i32')}")
    scale = f.let(f"bitcast {whole} {power} to {v}")
    return f.let(f"fmul {v} {p}, {scale}")


def _sigmoid(f: Function, w: int, x: str) -> str:
    v = vector(w)
    e = exp(f, w, f.let(f"fneg {v} {x}"))
    return f.let(f"fdiv {v} {constant(w, 1.0)}, {f.let(f'fadd {v} {e}, {constant(w, 1.0)}')}")


def _tanh(f: Function, w: int, x: str) -> str:
    """``1 − 2/(e^{2x} + 1)``, and ``x − x³/3 + 2x⁵/15`` near zero, where that difference loses digits."""
    v, flags = vector(w), vector(w, "i1")
    e = exp(f, w, f.let(f"fadd {v} {x}, {x}"))
    far = f.let(f"fdiv {v} {constant(w, -2.0)}, {f.let(f'fadd {v} {e}, {constant(w, 1.0)}')}")
    far = f.let(f"fadd {v} {far}, {constant(w, 1.0)}")
    square = f.let(f"fmul {v} {x}, {x}")
    p = constant(w, -17 / 315)
    for k in (2 / 15, -1 / 3, 1.0):
        p = f.fma(w, p, square, constant(w, k))
    near = f.let(f"fmul {v} {p}, {x}")
    small = f.let(f"fcmp olt {v} {square}, {constant(w, 0.04)}")
    return f.let(f"select {flags} {small}, {v} {near}, {v} {far}")


def _times(gate: Callable[[Function, int, str], str]) -> Callable[[Function, int, str], str]:
    return lambda f, w, x: f.let(f"fmul {vector(w)} {x}, {gate(f, w, x)}")


def _hardsigmoid(f: Function, w: int, x: str) -> str:
    return f.clamp(vector(w), f.fma(w, x, constant(w, 1 / 6), constant(w, 0.5)), constant(w, 0.0), constant(w, 1.0))


def _normal(f: Function, w: int, x: str) -> str:
    """``Φ(x) = ½·erfc(−x/√2)`` by ``erfc(z) ≈ t·P(t)·e^{−z²}``, ``t = 1/(1 + z/2)`` (Numerical Recipes' Chebyshev fit)."""
    v, flags, whole = vector(w), vector(w, "i1"), vector(w, "i32")
    z = f.let(f"fmul {v} {x}, {constant(w, 1 / math.sqrt(2))}")
    bits = f.let(f"and {whole} {f.let(f'bitcast {v} {z} to {whole}')}, {constant(w, 0x7FFFFFFF, 'i32')}")
    z = f.let(f"bitcast {whole} {bits} to {v}")
    t = f.let(f"fdiv {v} {constant(w, 1.0)}, {f.fma(w, z, constant(w, 0.5), constant(w, 1.0))}")
    p = constant(w, 0.17087277)
    for k in (-0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223):
        p = f.fma(w, p, t, constant(w, k))
    power = f.fma(w, f.let(f"fneg {v} {z}"), z, p)
    tail = f.let(f"fmul {v} {f.let(f'fmul {v} {t}, {constant(w, 0.5)}')}, {exp(f, w, power)}")
    below = f.let(f"fcmp olt {v} {x}, zeroinitializer")
    return f.let(f"select {flags} {below}, {v} {tail}, {v} {f.let(f'fsub {v} {constant(w, 1.0)}, {tail}')}")


def _gelu_tanh(f: Function, w: int, x: str) -> str:
    """``x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))) = x·sigmoid(2√(2/π)·(x + 0.044715·x³))``."""
    v = vector(w)
    square = f.let(f"fmul {v} {x}, {x}")
    inner = f.fma(w, square, constant(w, 0.044715), constant(w, 1.0))
    inner = f.let(f"fmul {v} {f.let(f'fmul {v} {inner}, {x}')}, {constant(w, 2 * math.sqrt(2 / math.pi))}")
    return f.let(f"fmul {v} {x}, {_sigmoid(f, w, inner)}")


def _mish(f: Function, w: int, x: str) -> str:
    """``x·tanh(ln(1 + e^x)) = x·e(e + 2)/(e(e + 2) + 2)`` with ``e = e^x``; from 20 on, x."""
    v = vector(w)
    e = exp(f, w, f.at_most(v, x, constant(w, 20.0)))
    n = f.let(f"fmul {v} {e}, {f.let(f'fadd {v} {e}, {constant(w, 2.0)}')}")
    return f.let(f"fmul {v} {x}, {f.let(f'fdiv {v} {n}, ' + f.let(f'fadd {v} {n}, {constant(w, 2.0)}'))}")


def _leaky_relu(f: Function, w: int, x: str, slope: float) -> str:
    return _below_zero(f, w, x, f.let(f"fmul {vector(w)} {x}, {constant(w, slope)}"))


def _elu(f: Function, w: int, x: str, alpha: float) -> str:
    """``α·(e^x − 1)`` below zero; near it by its series, where that difference loses digits."""
    v, flags = vector(w), vector(w, "i1")
    far = f.let(f"fsub {v} {exp(f, w, x)}, {constant(w, 1.0)}")
    p = constant(w, 1 / 120)
    for k in (1 / 24, 1 / 6, 1 / 2, 1.0):
        p = f.fma(w, p, x, constant(w, k))
    small = f.let(f"fcmp ogt {v} {x}, {constant(w, -0.1)}")
    curve = f.let(f"select {flags} {small}, {v} {f.let(f'fmul {v} {p}, {x}')}, {v} {far}")
    return _below_zero(f, w, x, f.let(f"fmul {v} {curve}, {constant(w, alpha)}"))


def _below_zero(f: Function, w: int, x: str, other: str) -> str:
    """``x``, or the other value where x is below zero."""
    below = f.let(f"fcmp olt {vector(w)} {x}, zeroinitializer")
    return f.let(f"select {vector(w, 'i1')} {below}, {vector(w)} {other}, {vector(w)} {x}")


def activate(f: Function, w: int, x: str, function: str, parameter: float) -> str:
    """A function of a vector, by name."""
    if function in _PARAMETRIC:
        return _PARAMETRIC[function](f, w, x, parameter)
    return _PLAIN[function](f, w, x)


_PLAIN: dict[str, Callable[[Function, int, str], str]] = {
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "silu": _times(_sigmoid),
    "hardsigmoid": _hardsigmoid,
    "hardswish": _times(_hardsigmoid),
    "gelu": _times(_normal),
    "gelu_tanh": _gelu_tanh,
    "mish": _mish,
}
_PARAMETRIC: dict[str, Callable[[Function, int, str, float], str]] = {"leaky_relu": _leaky_relu, "elu": _elu}
FUNCTIONS = (*_PLAIN, *_PARAMETRIC)
