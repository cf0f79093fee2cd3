"""A small convolutional network for pictures as small as 8×8."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import ModelError
from ._init import glorot_normal

__all__ = ["SmallCNN"]


class SmallCNN(nn.Module):
    """Two 3×3 convolutions (16, pooling, 32) and two linear layers (64, classes): 38 282 parameters on the digits.

    Args:
        in_channels: channels of a picture.
        image_size: height and width of a picture, in pixels.
        classes: outputs.

    Raises:
        ModelError: the picture is smaller than 2×2 pixels.

    Example:
        >>> SmallCNN()(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, in_channels: int = 1, image_size: int = 8, classes: int = 10) -> None:
        super().__init__()
        if image_size < 2:
            raise ModelError(f"SmallCNN needs pictures of at least 2×2 pixels; got image_size={image_size}")
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * (image_size // 2) ** 2, 64)
        self.fc2 = nn.Linear(64, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        glorot_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, in_channels, image_size, image_size]`` to logits ``[b, classes]``."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        logits: Tensor = self.fc2(x)
        return logits
