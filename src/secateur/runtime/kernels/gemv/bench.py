"""Dense layers on one vector."""

from __future__ import annotations

import torch
from torch import nn

from ..common import Case

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    "4096→4096": lambda: (nn.Linear(4096, 4096), torch.randn(1, 4096)),
    "784→300": lambda: (nn.Linear(784, 300), torch.randn(1, 784)),
}
