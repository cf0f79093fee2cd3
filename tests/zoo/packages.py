"""Packages that the project does not depend on: found beside the environment, imported with care."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch

PLACE = Path(sys.prefix) / "zoo"

# What torchvision's own Python registers kernels for as it is imported; its compiled half is built for another torch.
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio,"
    " bool aligned) -> Tensor",
)


def prepare() -> None:
    """Make the packages of the zoo importable; to be called before Transformers is imported."""
    if str(PLACE) in sys.path or not PLACE.is_dir():
        return
    sys.path.append(str(PLACE))
    for schema in SCHEMAS:
        name, _, rest = schema.partition("(")
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", f"({rest}")


def installed(name: str) -> str | None:
    """The version of a package, or None."""
    if find_spec(name.replace("-", "_")) is None:
        return None
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
