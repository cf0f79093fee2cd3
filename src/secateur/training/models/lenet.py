"""The two LeNets of the pruning literature."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import ModelError
from ._init import glorot_normal

__all__ = ["LeNet5", "LeNet300100"]


class LeNet300100(nn.Module):
    """Two hidden layers of 300 and 100 neurons with ReLU: 266 200 weights, 266 610 parameters on MNIST.

    Args:
        in_features: pixels of a picture; a batch ``[b, ...]`` is flattened.
        classes: outputs.
        dropout: probability of dropping a hidden neuron.

    Example:
        >>> LeNet300100()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998; initialised as in
    J. Frankle, M. Carbin, "The Lottery Ticket Hypothesis", 2019.
    """

    def __init__(self, in_features: int = 784, classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_features, 300)
        self.dropout1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(300, 100)
        self.dropout2 = nn.Dropout(dropout)
        self.fc3 = nn.Linear(100, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        glorot_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, ...]`` to logits ``[b, classes]``."""
        x = self.dropout1(F.relu(self.fc1(torch.flatten(x, 1))))
        x = self.dropout2(F.relu(self.fc2(x)))
        logits: Tensor = self.fc3(x)
        return logits


class LeNet5(nn.Module):
    """The LeNet-5 that Caffe ships: 430 500 weights, 431 080 parameters on MNIST; its convolutions have no ReLU.

    Args:
        in_channels: channels of a picture.
        image_size: height and width of a picture, in pixels.
        classes: outputs.
        dropout: probability of dropping a neuron of the hidden linear layer.

    Raises:
        ModelError: the picture is too small for two 5×5 convolutions with pooling.

    Example:
        >>> LeNet5()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Caffe's ``examples/mnist``, the reference network of S. Han et al., "Learning both Weights and Connections",
    2015.
    """

    def __init__(self, in_channels: int = 1, image_size: int = 28, classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2
        if side < 1:
            raise ModelError(f"LeNet5 needs pictures of at least 16×16 pixels; got image_size={image_size}; use 'digits_cnn'")
        self.conv1 = nn.Conv2d(in_channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * side * side, 500)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(500, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        glorot_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[b, in_channels, image_size, image_size]`` to logits ``[b, classes]``."""
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.max_pool2d(self.conv2(x), 2)
        x = self.dropout(F.relu(self.fc1(torch.flatten(x, 1))))
        logits: Tensor = self.fc2(x)
        return logits
