"""The residual networks of the CIFAR experiments."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import ModelError
from ._init import kaiming_normal

__all__ = ["BasicBlock", "PadShortcut", "ResNet"]


class PadShortcut(nn.Module):
    """Option A: every ``stride``-th row and column, and zero channels on both sides; no parameters.

    Args:
        before: zero channels put in front.
        after: zero channels put behind.
        stride: step over rows and columns.

    Example:
        >>> PadShortcut(1, 1, 2)(torch.ones(1, 2, 4, 4)).sum(dim=(2, 3)).tolist()
        [[0.0, 4.0, 4.0, 0.0]]
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.before, self.after, self.stride = before, after, stride

    def forward(self, x: Tensor) -> Tensor:
        """``[b, c, h, w]`` to ``[b, before + c + after, h / stride, w / stride]``."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, around which the input is added.

    Args:
        in_planes: channels that come in.
        planes: channels that go out.
        stride: of the first convolution and the shortcut.
    """

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        more = planes - in_planes
        same = stride == 1 and more == 0
        self.shortcut = nn.Identity() if same else PadShortcut(more // 2, more - more // 2, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, in_planes, h, w]`` to ``[b, planes, h / stride, w / stride]``."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network for 32×32 pictures with 6n + 2 layers and parameter-free shortcuts (option A).

    ResNet-20, 32, 44, 56 and 110 have 269 722, 464 154, 658 586, 853 018 and 1 727 962 parameters.

    Args:
        depth: 6n + 2.
        classes: outputs.
        width: multiplies the 16, 32 and 64 channels of the three stages.

    Raises:
        ModelError: the depth is not 6n + 2, or the width leaves no channel.

    Example:
        >>> ResNet(depth=20)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Source: K. He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2.
    """

    def __init__(self, depth: int = 20, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ModelError(f"ResNet needs a depth of 6n + 2 (8, 14, 20, …); got {depth}")
        planes = [int(p * width) for p in (16, 32, 64)]
        if planes[0] < 1:
            raise ModelError(f"ResNet needs a width of at least 1/16; got {width}")
        self.conv1 = nn.Conv2d(3, planes[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.layer1 = _stage(planes[0], planes[0], 1, blocks)
        self.layer2 = _stage(planes[0], planes[1], 2, blocks)
        self.layer3 = _stage(planes[1], planes[2], 2, blocks)
        self.linear = nn.Linear(planes[2], classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, 3, 32, 32]`` to logits ``[b, classes]``."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


def _stage(in_planes: int, planes: int, stride: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(in_planes, planes, stride)
    return nn.Sequential(first, *(BasicBlock(planes, planes, 1) for _ in range(blocks - 1)))
