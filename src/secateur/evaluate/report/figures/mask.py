"""Where on the input picture the first layer's weights survive: one small picture per method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ....core.errors import require
from ..data import MaskPicture
from ..words import percent, times, title
from .curves import wrap
from .style import HEAT, INK, LINE, MUTED, blank

__all__ = ["draw"]

PER_ROW = 5


def draw(pictures: Sequence[MaskPicture]) -> Any:
    """The figure of one (task, model); the strongest colour is where most weights are left in that picture.

    Args:
        pictures: one per method.
    """
    np: Any = require("numpy", "report")
    colour = [int(HEAT[i : i + 2], 16) for i in (1, 3, 5)]
    rows = math.ceil(len(pictures) / PER_ROW)
    columns = math.ceil(len(pictures) / rows)
    width, height = 2.5 * columns + 0.1, 2.95 * rows
    figure = blank(width, height)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        box = ((0.1 + 2.5 * column) / width, (height - 2.95 * (row + 1) + 0.1) / height, 2.3 / width, 2.3 / height)
        ax = figure.add_axes(box)
        values = np.asarray(picture.values, dtype=float)
        most = float(values.max()) or 1.0
        # Opacity carries the number, so that the picture stands on a light page and on a dark one.
        image = np.empty((*values.shape, 4), dtype=np.uint8)
        image[..., :3] = colour
        image[..., 3] = np.round(255 * values / most)
        ax.imshow(image, interpolation="none")
        ax.set_xticks([])
        ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_visible(True)
            spine.set_color(LINE)
        ax.text(0, 1.105, wrap(title(picture.method), 26).split("\n")[0], transform=ax.transAxes, fontsize=11, color=INK)
        at = f"{times(picture.compression)} · " if picture.compression else ""
        said = f"{at}0 to {percent(most, 0 if most >= 0.1 else 1)} % left"
        ax.text(0, 1.03, said, transform=ax.transAxes, fontsize=9, color=MUTED)
    return figure
