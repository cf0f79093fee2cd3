"""MobileNetV1: depthwise-separable convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import ModelError
from ._init import kaiming_normal

__all__ = ["MobileNetV1"]

# (channels out, stride) of every depthwise-separable layer
_LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


class MobileNetV1(nn.Module):
    """One 3×3 convolution and thirteen pairs of depthwise 3×3 and pointwise 1×1, all with batch norm and ReLU.

    4 231 976 parameters and 568 740 352 multiply-adds for a 224×224 picture and 1000 classes.

    Args:
        classes: outputs.
        width: multiplies every number of channels.
        stem_stride: stride of the first convolution: 2 for ImageNet, 1 for CIFAR.
        in_channels: channels of a picture.

    Raises:
        ModelError: the width leaves no channel.

    Example:
        >>> MobileNetV1(classes=10, width=0.25, stem_stride=1)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Source: A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
    Applications", 2017.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0, stem_stride: int = 2, in_channels: int = 3) -> None:
        super().__init__()
        channels = int(32 * width)
        if channels < 1:
            raise ModelError(f"MobileNetV1 needs a width of at least 1/32; got {width}")
        layers = _layer(in_channels, channels, 3, stem_stride)
        for out, stride in _LAYERS:
            layers += _layer(channels, channels, 3, stride, groups=channels)
            layers += _layer(channels, int(out * width), 1, 1)
            channels = int(out * width)
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(channels, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, in_channels, h, w]`` to logits ``[b, classes]``."""
        logits: Tensor = self.linear(torch.flatten(F.adaptive_avg_pool2d(self.features(x), 1), 1))
        return logits


def _layer(channels: int, out: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out), nn.ReLU()]
