"""Models of torchvision: classification, segmentation, video, optical flow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .catalog import Entry

CLASSIFIERS = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mobilenet_v2
mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_0 swin_t
swin_v2_t vgg11_bn vit_b_32 wide_resnet50_2
"""
SEGMENTERS = ("deeplabv3_mobilenet_v3_large", "fcn_resnet50", "lraspp_mobilenet_v3_large")
VIDEO = {"mc3_18": (8, 32), "r2plus1d_18": (8, 32), "s3d": (16, 224)}  # frames, pixels
PIXELS = {"inception_v3": 96, "maxvit_t": 224, "alexnet": 96}


def entries() -> Iterator[Entry]:
    """By task."""
    yield from map(entry, (*CLASSIFIERS.split(), *SEGMENTERS, *VIDEO))


def entry(name: str) -> Entry:
    """Any model of torchvision for images, for masks or for videos."""
    if name in VIDEO:
        frames, size = VIDEO[name]
        return Entry("torchvision", name, lambda: build(name, num_classes=10), lambda _, b, s: noise(s, b, 3, frames, size, size))
    options = {"num_classes": 5, "weights_backbone": None} if name in SEGMENTERS else {"num_classes": 10}
    size = PIXELS.get(name, 64)
    return Entry("torchvision", name, lambda: build(name, **options), lambda _, b, s: noise(s, b, 3, size, size))


def build(name: str, **options: Any) -> nn.Module:
    """With random weights."""
    import torchvision

    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "aux_logits": False}
    if name == "vit_b_32":
        options["image_size"] = 64
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model


def noise(seed: int, *shape: int) -> Tensor:
    """Noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
