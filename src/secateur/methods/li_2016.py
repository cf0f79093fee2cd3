"""Filters with the smallest L1 norm, in the layers that can spare them."""

from __future__ import annotations

from ..allocation import Allocation, PerLayer, Uniform
from ..core.errors import RecipeError, did_you_mean
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import OneShot
from ..score import Magnitude
from ..structure import Filters
from ._registry import method

__all__ = ["NETWORKS", "layers_of", "li_2016"]

# name → blocks and filters of each stage, percent that goes from each stage, layers that are spared (the stem is layer 1)
_RESNETS = {
    "resnet_56_a": ((9,) * 3, (16, 32, 64), (10, 10, 10), (16, 20, 38, 54)),
    "resnet_56_b": ((9,) * 3, (16, 32, 64), (60, 30, 10), (16, 18, 20, 34, 38, 54)),
    "resnet_110_a": ((18,) * 3, (16, 32, 64), (50, 0, 0), (36,)),
    "resnet_110_b": ((18,) * 3, (16, 32, 64), (50, 40, 30), (36, 38, 74)),
    "resnet_34_a": ((3, 4, 6, 3), (64, 128, 256, 512), (30, 30, 30, 0), (2, 8, 14, 16, 26, 28, 30, 32)),
    "resnet_34_b": ((3, 4, 6, 3), (64, 128, 256, 512), (50, 60, 40, 0), (2, 8, 14, 16, 26, 28, 30, 32)),
}
_VGG = (0, 24, 27, 30, 34, 37, 40)  # places of convolutions 1 and 8 to 13 in ``VGG16BN.features``: half of their filters go
NETWORKS = (*_RESNETS, "vgg_16_a")
"""The networks of the paper whose every layer it gives."""


def layers_of(network: str) -> tuple[tuple[str, float], ...]:
    """The paper's table for one of its networks: name pattern → fraction of the layer's n filters removed.

    ⌊n·(1 − p)⌋ filters stay where p is the paper's fraction; the fraction here is the one that was removed then. In
    residual networks only the first convolution of a block is pruned. The names are those of this library's models.

    Args:
        network: a name in ``NETWORKS``.

    Raises:
        RecipeError: the paper has no such network.

    Example:
        >>> layers_of("resnet_56_b")[:2], len(layers_of("resnet_56_b")), layers_of("vgg_16_a")[0]
        ((('layer1.0.conv1*', 0.625), ('layer1.1.conv1*', 0.625)), 21, ('features.0*', 0.5))
    """
    if network == "vgg_16_a":
        return tuple((f"features.{place}*", 0.5) for place in _VGG)
    if network not in _RESNETS:
        raise RecipeError(f"unknown network {network!r}; {did_you_mean(network, NETWORKS)}")
    table, layer = [], 2
    for stage, (blocks, filters, percent) in enumerate(zip(*_RESNETS[network][:3], strict=True), start=1):
        for block in range(blocks):
            if percent and layer not in _RESNETS[network][3]:
                removed = filters - filters * (100 - percent) // 100
                table.append((f"layer{stage}.{block}.conv1*", removed / filters))
            layer += 2
    return tuple(table)


@method(
    paper="Li et al., Pruning Filters for Efficient ConvNets, 2016",
    source="arXiv:1608.08710",
    claim="without the filters of least L1 norm VGG-16 needs 34 % and ResNet-110 38 % fewer multiply-adds at nearly the same "
    "accuracy on CIFAR-10",
    results=("resnet56-filters.json", "filters-by-score.json"),
)
def li_2016(
    *,
    sparsity: float = 0.3,
    layers: tuple[tuple[str, float], ...] = (),
    network: str | None = None,
    exclude: tuple[str, ...] = (),
    epochs: float = 40.0,
    learning_rate: float = 1e-3,
) -> Recipe:
    """In each layer the filters with the least Σ|F_j| go, at once; the rest is trained for a quarter of the time again.

    What every layer can spare is measured first (``secateur.lab.sensitivity``): give its table as ``layers``, or leave out
    the sensitive ones with ``exclude``. With ``example_inputs`` filters whose outputs are added go together.

    Deviation: scores are independent; the paper also has a greedy variant, which leaves out what earlier layers lost.

    Args:
        sparsity: fraction of the filters removed from every layer, when neither ``layers`` nor ``network`` says it.
        layers: name pattern → fraction of that layer's filters; layers not named stay whole.
        network: take the table of one of the paper's networks (``"resnet_56_b"``).
        exclude: name patterns of layers to leave alone.
        epochs: epochs of retraining.
        learning_rate: its rate, which the paper keeps constant.

    Example:
        >>> li_2016(network="resnet_56_a").allocation.sparsity[0]
        ('layer1.0.conv1*', 0.125)
    """
    if network is not None and layers:
        raise RecipeError("method 'li_2016' takes layers or network, not both; the table of a network is layers_of(network)")
    table = layers if network is None else layers_of(network)
    allocation: Allocation = PerLayer(sparsity=table) if table else Uniform()
    return Recipe(
        structure=Filters(reduce="sum"),
        score=Magnitude(p=1),
        allocation=allocation,
        schedule=OneShot(sparsity=sparsity),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
        exclude=exclude,
    )
