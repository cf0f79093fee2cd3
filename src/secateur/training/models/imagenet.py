"""The residual networks of the ImageNet experiments."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import ModelError
from ._init import kaiming_normal

__all__ = ["Bottleneck", "ImageNetResNet", "ProjectedBlock"]

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ProjectedBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, around which the input is added, through a 1×1 convolution where sizes change.

    Args:
        in_planes: channels that come in.
        planes: channels that go out.
        stride: of the first convolution and the shortcut.
    """

    expansion = 1

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _projection(in_planes, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, in_planes, h, w]`` to ``[b, planes, h / stride, w / stride]``."""
        y = F.relu(self.bn1(self.conv1(x)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions with batch norm, around which the input is added; the 3×3 has the stride.

    Args:
        in_planes: channels that come in.
        planes: channels of the 3×3 convolution; four times as many go out.
        stride: of the 3×3 convolution and the shortcut.
    """

    expansion = 4

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        out = planes * self.expansion
        self.conv1 = nn.Conv2d(in_planes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = _projection(in_planes, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, in_planes, h, w]`` to ``[b, 4 planes, h / stride, w / stride]``."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + shortcut)


Block = type[ProjectedBlock] | type[Bottleneck]


class ImageNetResNet(nn.Module):
    """A residual network for 224×224 pictures with projection shortcuts, and the state-dict names of torchvision's.

    ResNet-34 has 21 797 672 parameters and 3 663 761 408 multiply-adds a picture, ResNet-50 25 557 032 and 4 089 184 256.

    Args:
        depth: 18, 34 (basic blocks), 50, 101 or 152 (bottlenecks).
        classes: outputs.
        width: multiplies every number of channels.
        in_channels: channels of a picture.

    Raises:
        ModelError: another depth, or the width leaves no channel.

    Example:
        >>> ImageNetResNet(depth=18, classes=10, width=0.25)(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 10])

    Source: K. He et al., "Deep Residual Learning for Image Recognition", 2016, table 1; a bottleneck's stride is on its
    3×3 convolution, as is usual today, where the paper has it on the first 1×1.
    """

    def __init__(self, depth: int = 50, classes: int = 1000, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__()
        if depth not in _BLOCKS:
            raise ModelError(f"ImageNetResNet has depth {', '.join(map(str, _BLOCKS))}; got {depth}; ResNet has depths 6n + 2")
        planes = [int(p * width) for p in (64, 128, 256, 512)]
        if planes[0] < 1:
            raise ModelError(f"ImageNetResNet needs a width of at least 1/64; got {width}")
        block = Bottleneck if depth >= 50 else ProjectedBlock
        self.conv1 = nn.Conv2d(in_channels, planes[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0])
        out = [p * block.expansion for p in planes]
        n1, n2, n3, n4 = _BLOCKS[depth]
        self.layer1 = _stage(block, planes[0], planes[0], 1, n1)
        self.layer2 = _stage(block, out[0], planes[1], 2, n2)
        self.layer3 = _stage(block, out[1], planes[2], 2, n3)
        self.layer4 = _stage(block, out[2], planes[3], 2, n4)
        self.fc = nn.Linear(out[3], classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        kaiming_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, in_channels, h, w]`` to logits ``[b, classes]``."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


def _stage(block: Block, in_planes: int, planes: int, stride: int, blocks: int) -> nn.Sequential:
    first, out = block(in_planes, planes, stride), planes * block.expansion
    return nn.Sequential(first, *(block(out, planes, 1) for _ in range(blocks - 1)))


def _projection(in_planes: int, planes: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_planes == planes:
        return None
    return nn.Sequential(nn.Conv2d(in_planes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))
