"""Numbers and names as people read them."""

from __future__ import annotations

import re

from .aggregate import Stat

MISSING = "–"


def title(name: str) -> str:
    """A registered name as a person would write it.

    Example:
        >>> title("global_magnitude")
        'global magnitude'
    """
    return name.replace("_", " ").strip() or name


def slug(name: str) -> str:
    """A name that is safe as part of a file name.

    Example:
        >>> slug("../my net (v2)")
        'my-net-v2'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "unnamed"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction in percent, without the sign."""
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def percent_stat(s: Stat | None) -> str:
    """Mean ± spread of fractions, in percent.

    Example:
        >>> percent_stat(Stat(0.97812, 0.0021, 3)), percent_stat(Stat(0.5, None, 1)), percent_stat(None)
        ('97.81 ± 0.21', '50.00', '–')
    """
    if s is None:
        return MISSING
    return percent(s.mean) + (f" ± {100 * s.std:.2f}" if s.std is not None else "")


def number_stat(s: Stat | None) -> str:
    """Mean ± spread of plain numbers."""
    if s is None:
        return MISSING
    return f"{s.mean:.3f}" + (f" ± {s.std:.3f}" if s.std is not None else "")


def change(value: float | None) -> str:
    """A difference of accuracies in points, signed.

    Example:
        >>> change(-0.0042), change(0.0), change(None)
        ('−0.42', '0.00', '–')
    """
    if value is None:
        return MISSING
    return _signed(100 * value, 2)


def _signed(value: float, digits: int) -> str:
    shown = round(value, digits)
    return f"{'+' if shown > 0 else '−' if shown < 0 else ''}{abs(shown):.{digits}f}"


def nats(value: float | None) -> str:
    """A difference of losses, signed.

    Example:
        >>> nats(-0.0421), nats(0.0), nats(None)
        ('−0.042', '0.000', '–')
    """
    return MISSING if value is None else _signed(value, 3)


def times(value: float | None) -> str:
    """A ratio, three digits.

    Example:
        >>> times(15.98), times(2.0), times(128.4)
        ('16.0×', '2.00×', '128×')
    """
    if value is None:
        return MISSING
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}×"


def size(value: float | None) -> str:
    """Bytes, in units of 1000.

    Example:
        >>> size(12345), size(980), size(2.5e6)
        ('12.3 kB', '980 B', '2.50 MB')
    """
    if value is None:
        return MISSING
    if value < 1000:
        return f"{value:.0f} B"
    unit = next((u for u in ("kB", "MB") if value / {"kB": 1e3, "MB": 1e6}[u] < 999.5), "GB")
    scaled = value / {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"


def millis(value: float | None) -> str:
    """A latency in milliseconds, about three digits.

    Example:
        >>> millis(0.4), millis(12.345)
        ('0.400 ms', '12.3 ms')
    """
    if value is None:
        return MISSING
    return f"{value:.{3 if value < 1 else 2 if value < 9.995 else 1 if value < 99.95 else 0}f} ms"


def joules(value: float | None) -> str:
    """Energy, about three digits.

    Example:
        >>> joules(3.2e-8), joules(0.0138), joules(1500.0)
        ('32.0 nJ', '13.8 mJ', '1.50 kJ')
    """
    if value is None:
        return MISSING
    names = [(1e-12, "pJ"), (1e-9, "nJ"), (1e-6, "µJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ")]
    unit, name = next(((u, n) for u, n in reversed(names) if value >= u), names[0])
    scaled = value / unit
    return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {name}"


def duration(seconds: float | None) -> str:
    """A time as people say it.

    Example:
        >>> duration(3.21), duration(75.0), duration(7300.0)
        ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def p_value(p: float | None) -> str:
    """A probability, as it is printed.

    Example:
        >>> p_value(0.25), p_value(0.03125), p_value(0.0001)
        ('0.25', '0.031', '< 0.001')
    """
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"


def points(within: float) -> str:
    """A fraction of accuracy in points.

    Example:
        >>> points(0.01), points(0.005)
        ('1 point', '0.5 points')
    """
    return f"{100 * within:g} point{'' if within == 0.01 else 's'}"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    Example:
        >>> count(1, "seed"), count(3, "seed")
        ('1 seed', '3 seeds')
    """
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
