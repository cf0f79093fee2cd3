"""VGG-16 with batch norm, as the pruning papers train it on CIFAR."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.errors import ModelError
from ._init import kaiming_normal

__all__ = ["VGG16BN"]

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16BN(nn.Module):
    """Thirteen 3×3 convolutions with bias and batch norm, then linear 512 with batch norm, then linear.

    14 991 946 parameters and 313 463 808 multiply-adds for a 32×32 picture and 10 classes.

    Args:
        in_channels: channels of a picture, which is 32×32 pixels.
        classes: outputs.
        width: multiplies every hidden width.

    Raises:
        ModelError: the width leaves no channel.

    Example:
        >>> VGG16BN(width=0.125).eval()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Source: H. Li et al., "Pruning Filters for Efficient ConvNets", 2017; K. Simonyan, A. Zisserman, 2015.
    """

    def __init__(self, in_channels: int = 3, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        if int(64 * width) < 1:
            raise ModelError(f"VGG16BN needs a width of at least 1/64; got {width}")
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in _STAGES:
            for planes in (int(p * width) for p in stage):
                layers += [nn.Conv2d(channels, planes, 3, padding=1), nn.BatchNorm2d(planes), nn.ReLU()]
                channels = planes
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        hidden = int(512 * width)
        self.classifier = nn.Sequential(
            nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, in_channels, 32, 32]`` to logits ``[b, classes]``."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
