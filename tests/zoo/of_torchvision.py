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
VIDEO = ("mc3_18", "r2plus1d_18", "s3d")
PIXELS = {"inception_v3": 96, "maxvit_t": 224, "alexnet": 96}


def entries() -> Iterator[Entry]:
    """By task."""
    for name in CLASSIFIERS.split():
        yield Entry("torchvision", name, lambda n=name: build(n, num_classes=10), lambda _, b, s, n=name: images(n, b, s))
    for name in SEGMENTERS:
        yield Entry("torchvision", name, lambda n=name: segmenter(n), lambda _, b, s, n=name: images(n, b, s))
    for name in VIDEO:
        yield Entry("torchvision", name, lambda n=name: build(n, num_classes=10), lambda _, b, s: noise(s, b, 3, 16, 64, 64))


def build(name: str, **options: Any) -> nn.Module:
    """With random weights."""
    import torchvision

    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "aux_logits": False}
    if name == "vit_b_32":
        options["image_size"] = 64
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model


def segmenter(name: str) -> nn.Module:
    """Without the weights of its backbone."""
    return build(name, num_classes=5, weights_backbone=None)


def images(name: str, batch: int, seed: int) -> Tensor:
    """Noise of 64 pixels, or more where the model needs more."""
    size = PIXELS.get(name, 64)
    return noise(seed, batch, 3, size, size)


def noise(seed: int, *shape: int) -> Tensor:
    """Noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
