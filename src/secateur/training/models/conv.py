"""Conv-2, Conv-4 and Conv-6 of the lottery-ticket paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import ModelError
from ._init import glorot_normal

__all__ = ["ConvNet"]

_WIDTHS = (64, 128, 256)


class ConvNet(nn.Module):
    """A small VGG: pairs of 3×3 convolutions (64, 128, 256 channels), each pair pooled; then linear 256, 256, classes.

    On CIFAR-10 Conv-2, Conv-4 and Conv-6 have 4.3, 2.4 and 2.26 million weights; the paper prints 1.7 million for the
    last, which the layers it draws do not add up to.

    Args:
        depth: convolutions: 2, 4 or 6.
        in_channels: channels of a picture.
        image_size: height and width of a picture, in pixels.
        classes: outputs.

    Raises:
        ModelError: another depth, or a picture too small to be pooled as often.

    Example:
        >>> ConvNet(depth=6)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Source: J. Frankle, M. Carbin, "The Lottery Ticket Hypothesis", 2019, figure 2.
    """

    def __init__(self, depth: int = 2, in_channels: int = 3, image_size: int = 32, classes: int = 10) -> None:
        super().__init__()
        if depth not in (2, 4, 6):
            raise ModelError(f"ConvNet has depth 2, 4 or 6; got {depth}")
        widths = _WIDTHS[: depth // 2]
        side = image_size // 2 ** len(widths)
        if side < 1:
            raise ModelError(f"ConvNet of depth {depth} needs image_size of at least {2 ** len(widths)}; got {image_size}")
        layers: list[nn.Module] = []
        channels = in_channels
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.fc1 = nn.Linear(channels * side * side, 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc3 = nn.Linear(256, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        glorot_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, in_channels, image_size, image_size]`` to logits ``[b, classes]``."""
        x = F.relu(self.fc1(torch.flatten(self.features(x), 1)))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits
