"""Draws the pictures of the documentation from the library's own components: ``python docs/pictures.py``.

Every mask is what a structure really selects on fixed random weights, every curve what a schedule really answers. The
colours are read on light and on dark ground alike, so that one file serves both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import secateur as sc
from secateur.allocation import Global, PerLayer, StdThreshold, Uniform
from secateur.core.select import count_removed, keep_largest
from secateur.core.statistics import Statistics
from secateur.recovery import KeepTraining, Recovery, Reinitialize, Rewind
from secateur.schedule import Cubic, Iterative, OneShot, Polynomial
from secateur.score import Magnitude, Random, Snip
from secateur.structure import NM, Blocks, Filters, Kernels, Structure, Weights

ASSETS = Path(__file__).parent / "assets"
KEPT, SECOND, GONE, TEXT, LINE = "#2aa568", "#d9822b", "#8a938e", "#7f8984", "#8a938e"
FONT = 'font-family="system-ui, sans-serif" font-size="13"'


def svg(name: str, width: float, height: float, parts: Iterable[str], title: str) -> None:
    """Write one picture."""
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    body = "\n".join(parts)
    (ASSETS / f"{name}.svg").write_text(f"{head}\n<title>{title}</title>\n{body}\n</svg>\n", encoding="utf-8")


def cell(x: float, y: float, size: float, strength: float | None, colour: str = KEPT) -> str:
    """A kept weight, the stronger the fuller; or the outline of a removed one."""
    corner = max(1.0, size / 7)
    box = f'<rect x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" rx="{corner:.3g}"'
    if strength is None:
        return f'{box} fill="{GONE}" fill-opacity=".13"/>'
    return f'{box} fill="{colour}" fill-opacity="{0.38 + 0.62 * strength:.2f}"/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = TEXT) -> str:
    """A label."""
    return f'<text x="{x:g}" y="{y:g}" {FONT} fill="{colour}" text-anchor="{anchor}">{words}</text>'


def select(structure: Structure, weight: Tensor, sparsity: float) -> Tensor:
    """The mask of one weight by magnitude, with exactly the share of units that the sparsity says."""
    units = structure.units(Magnitude()(weight, Statistics(name="w")), None)
    keep = keep_largest([lambda: units], units.numel() - count_removed(sparsity, units.numel()))[0]
    return structure.spread(keep, tuple(weight.shape))


def matrix(weight: Tensor, mask: Tensor, x: float, y: float, size: float, gaps: tuple[int, int] = (0, 0)) -> list[str]:
    """An 8×8 weight; a wider gap after every so many rows and columns."""
    shares, parts = weight.abs() / weight.abs().max(), []
    for i, row in enumerate(mask.tolist()):
        for j, kept in enumerate(row):
            left = x + j * (size + 3) + (5 * (j // gaps[1]) if gaps[1] else 0)
            top = y + i * (size + 3) + (5 * (i // gaps[0]) if gaps[0] else 0)
            parts.append(cell(left, top, size, float(shares[i, j]) if kept else None))
    return parts


def structures() -> None:
    """One picture for each structure."""
    weight = torch.randn(8, 8, generator=torch.Generator().manual_seed(3))
    conv = torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(5))
    flat: list[tuple[str, Structure, float, tuple[int, int], str]] = [
        ("weights", Weights(), 0.75, (0, 0), "16 of 64 single weights stay"),
        ("blocks", Blocks(shape=(4, 1)), 0.75, (4, 0), "4 of 16 blocks of 4 × 1 stay"),
        ("blocks-square", Blocks(shape=(2, 2)), 0.75, (2, 2), "4 of 16 blocks of 2 × 2 stay"),
        ("nm", NM(n=2, m=4), 0.5, (0, 4), "2 of every 4 inputs stay"),
    ]
    for name, structure, sparsity, gaps, said in flat:
        wide = 8 * 25 + (5 * (7 // gaps[1]) if gaps[1] else 0) - 3
        high = 8 * 25 + (5 * (7 // gaps[0]) if gaps[0] else 0) - 3
        parts = [*matrix(weight, select(structure, weight, sparsity), 22, 26, 22, gaps), text(22, 16, "inputs →")]
        parts.append(f'<g transform="translate(14 {26 + high / 2:g}) rotate(-90)">{text(0, 0, "outputs", anchor="middle")}</g>')
        svg(f"mask-{name}", 22 + wide + 4, 26 + high + 4, parts, said)
    for name, structure, sparsity, said in (
        ("kernels", Kernels(), 0.75, "16 of 64 kernels of 3 × 3 stay"),
        ("filters", Filters(), 0.5, "4 of 8 filters stay, with all their kernels"),
    ):
        mask, shares = select(structure, conv, sparsity), conv.abs() / conv.abs().max()
        parts = [text(22, 16, "input channels →")]
        parts.append(f'<g transform="translate(14 {26 + 124:g}) rotate(-90)">{text(0, 0, "filters", anchor="middle")}</g>')
        for o in range(8):
            for i in range(8):
                for k in range(9):
                    x, y = 22 + i * 31 + (k % 3) * 9, 26 + o * 31 + (k // 3) * 9
                    kept = bool(mask[o, i, k // 3, k % 3])
                    parts.append(cell(x, y, 8, float(shares[o, i, k // 3, k % 3]) if kept else None))
        svg(f"mask-{name}", 22 + 8 * 31, 26 + 8 * 31, parts, said)


def scores() -> None:
    """The same weights through three scores, the upper quarter kept."""
    weight = torch.randn(8, 8, generator=torch.Generator().manual_seed(3))
    gradient = torch.randn(8, 8, generator=torch.Generator().manual_seed(4))
    parts = []
    for n, score in enumerate((Magnitude(), Snip(), Random())):
        found = score(weight, Statistics(name="w", gradient=gradient))
        keep = keep_largest([lambda found=found: found], 16)[0]  # type: ignore[misc]
        x = 4 + n * 200
        parts += [text(x, 16, type(score).__name__), *matrix(found, keep, x, 26, 18)]
    svg("scores", 4 + 3 * 200 - 28, 26 + 8 * 21, parts, "the quarter of 64 weights that each score keeps")


def allocations() -> None:
    """What four allocations leave of three layers whose weights differ in scale."""

    def model() -> nn.Sequential:
        torch.manual_seed(0)
        made = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16), nn.Linear(16, 2))
        for layer, scale in ((made[0], 1.6), (made[2], 1.0), (made[4], 0.7)):
            nn.init.normal_(layer.weight, std=0.1 * scale)
        return made

    rows = (
        ("Uniform()", Uniform()), ("Global()", Global()), ("StdThreshold()", StdThreshold()),
        ("PerLayer({…})", PerLayer(sparsity=(("0.*", 0.5), ("2.*", 0.9), ("4.*", 0.6)))),
    )  # fmt: skip
    parts, names = [], ("first layer", "second layer", "third layer")
    parts += [text(130 + i * 130, 16, n) for i, n in enumerate(names)]
    for r, (label, allocation) in enumerate(rows):
        pruner = sc.Pruner(model(), sc.Recipe(allocation=allocation, schedule=OneShot(sparsity=0.8))).prune()
        y = 30 + r * 34
        parts.append(text(4, y + 15, label))
        for i, mask in enumerate(pruner.masks.values()):
            left, x = float(mask.float().mean()), 130 + i * 130
            parts.append(f'<rect x="{x}" y="{y}" width="110" height="20" rx="4" fill="{GONE}" fill-opacity=".15"/>')
            parts.append(f'<rect x="{x}" y="{y}" width="{110 * left:.1f}" height="20" rx="4" fill="{KEPT}"/>')
            at, anchor = (x + 110 * left + 5, "start") if left < 0.6 else (x + 104, "end")
            parts.append(text(at, y + 15, f"{left:.0%}", anchor=anchor, colour=TEXT if left < 0.6 else "#ffffff"))
    svg("allocations", 520, 30 + len(rows) * 34, parts, "the share of each layer's weights that stays")


def schedules() -> None:
    """Sparsity against time, by rounds and by steps."""

    def plot(x: float, label: str, curves: Sequence[tuple[str, str, str, list[tuple[float, float]]]]) -> list[str]:
        wide, high, top = 300.0, 150.0, 24.0
        parts = [text(x, 14, "sparsity"), text(x + wide, top + high + 20, label, anchor="end")]
        for s in (0.0, 0.5, 1.0):
            y = top + high * (1 - s)
            parts.append(f'<path d="M{x + 26:g} {y:g}H{x + wide:g}" stroke="{LINE}" stroke-opacity=".3"/>')
            parts.append(text(x + 20, y + 4, f"{s:g}", anchor="end"))
        for n, (name, colour, dash, points) in enumerate(curves):
            at = [(x + 26 + (wide - 26) * u, top + high * (1 - s)) for u, s in points]
            path = f"M{at[0][0]:.1f} {at[0][1]:.1f}" + "".join(f"H{px:.1f}V{py:.1f}" for px, py in at[1:]) + f"H{x + wide:.1f}"
            pen = f'fill="none" stroke="{colour}" stroke-width="2.4" stroke-linejoin="round" stroke-dasharray="{dash}"'
            parts.append(f'<path d="{path}" {pen}/>')
            parts.append(text(x + wide - 4, top + high * 0.76 + n * 20, name, anchor="end", colour=colour))
        return parts

    shot, rounds = OneShot(sparsity=0.9), Iterative(rounds=6).at(0.9)
    cubic = Cubic(sparsity=0.9, begin=0, end=80, every=4)
    linear = Polynomial(sparsity=0.9, begin=0, end=80, every=4, power=1)
    by_round = [
        ("Iterative", KEPT, "", [(0.0, 0.0), *((r / 7, rounds.at_round(r) or 0.0) for r in range(1, 7))]),
        ("OneShot", SECOND, "5 4", [(0.0, 0.0), (1 / 7, shot.at_round(1) or 0.0)]),
    ]
    by_step = [
        (name, colour, dash, [(0.0, 0.0), *((t / 100, s) for t in range(101) if (s := ramp.at_step(t)) is not None)])
        for name, ramp, colour, dash in (("Cubic", cubic, KEPT, ""), ("Polynomial, power 1", linear, SECOND, "5 4"))
    ]
    parts = [*plot(4, "rounds", by_round), *plot(350, "optimizer steps", by_step)]
    svg("schedules", 654, 204, parts, "sparsity against rounds and against steps, as the schedules answer")


def recoveries() -> None:
    """Sixteen weights of one row: at the start, after training, and where each recovery lets the survivors begin."""

    def strip(y: float, label: str, values: Tensor, mask: Tensor | None) -> list[str]:
        parts = [text(4, y + 16, label)]
        for i, v in enumerate(values.tolist()):
            gone = mask is not None and not bool(mask[i])
            colour = KEPT if v > 0 else SECOND
            parts.append(cell(176 + i * 25, y, 22, None if gone else min(1.0, abs(v) * 1.6), colour))
        return parts

    parts, y = [], 4.0
    choices: tuple[Recovery, ...] = (KeepTraining(), Rewind(to=0), Reinitialize(seed=2))
    for n, recovery in enumerate(choices):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(16, 1), nn.Linear(1, 1))
        start = model[0].weight.detach().flatten().clone() * 2
        pruner = sc.Pruner(model, sc.Recipe(schedule=OneShot(sparsity=0.5), recovery=recovery))
        rounds = pruner.rounds()
        next(rounds)
        noise = torch.randn(1, 16, generator=torch.Generator().manual_seed(7)) * 0.22
        with torch.no_grad():
            model[0].weight.add_(noise)
        trained = model[0].weight.detach().flatten().clone() * 2
        next(rounds)
        if n == 0:
            parts += [*strip(y, "initial", start, None), *strip(y + 28, "trained", trained, None)]
            y += 68
        label = "KeepTraining, Finetune" if n == 0 else type(recovery).__name__
        parts += strip(y, label, model[0].weight.detach().flatten() * 2, pruner.masks["0.weight"].flatten())
        y += 28
    svg("recoveries", 176 + 16 * 25, math.ceil(y + 2), parts, "where the surviving weights start after a pruning")


def logo() -> None:
    """Nine weights, four of them gone."""
    keep = ((1, 0, 0), (1, 1, 0), (1, 1, 1))
    for name, colour in (("logo", "#ffffff"), ("favicon", KEPT)):
        parts = [
            f'<rect x="{x}" y="{y}" width="18" height="18" rx="5" fill="{colour}" opacity="{1 if k else 0.28}"/>'
            for y, row in zip((2, 23, 44), keep, strict=True) for x, k in zip((2, 23, 44), row, strict=True)
        ]  # fmt: skip
        svg(name, 64, 64, parts, "Secateur")


def main() -> None:
    """All pictures."""
    ASSETS.mkdir(exist_ok=True)
    for draw in (structures, scores, allocations, schedules, recoveries, logo):
        draw()


if __name__ == "__main__":
    main()
