"""The two initialisations of the reference models."""

from __future__ import annotations

from torch import nn

__all__ = ["glorot_normal", "kaiming_normal"]

WEIGHTED = (nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def glorot_normal(model: nn.Module) -> None:
    r"""Weights from :math:`N(0, 2/(n_\text{in} + n_\text{out}))`, biases zero, norms reset (Glorot and Bengio 2010)."""
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, NORMS):
            module.reset_parameters()


def kaiming_normal(model: nn.Module) -> None:
    r"""Weights from :math:`N(0, 2/n_\text{in})`, biases zero, norms reset (He et al. 2015)."""
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, NORMS):
            module.reset_parameters()
