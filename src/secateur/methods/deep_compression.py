"""Deep Compression: prune, share the weights that are left, and code what is left of those."""

from __future__ import annotations

from ..codec.quantise import Share
from ..pipeline import Code, Pipeline
from ._registry import method
from .han_2015 import han_2015

__all__ = ["deep_compression"]


@method(
    paper="Han, Mao & Dally, Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman "
    "Coding, 2016",
    source="arXiv:1510.00149",
    claim="files 35× to 49× smaller at no loss of accuracy: LeNet-300-100 27 KB, LeNet-5 44 KB, AlexNet 6.9 MB, VGG-16 11.3 MB",
    results=("deep-compression.json", "deep-compression-resnet56.json"),
)
def deep_compression(
    *,
    sparsity: float = 1 - 1 / 12,
    rounds: int = 5,
    layers: tuple[tuple[str, float], ...] = (),
    epochs: float = 20.0,
    learning_rate: float | None = None,
    conv: int = 8,
    linear: int = 5,
    start: str = "linear",
    tuning_epochs: float = 1.0,
    tuning_rate: float | None = None,
    index_bits: int = 5,
) -> Pipeline:
    """Han et al. 2015, then argmin Σ_k Σ_{w ∈ c_k} (w − c_k)² in each layer, ∂L/∂c_k = Σ_i ∂L/∂w_i · 1[I_i = k], then Huffman.

    Deviations: those of ``han_2015``. The paper's text has 8-bit gaps in convolutions; its tables, which this follows,
    have one width for the whole network (5 bits for the LeNets and VGG-16, 4 for AlexNet). The paper gives no learning rate
    for the shared values.

    Args:
        sparsity: fraction of all weights removed (published: 11/12 for the LeNets).
        rounds: rounds of prune and retrain.
        layers: name pattern → that layer's quality, relative to the others'.
        epochs: epochs of retraining in each round.
        learning_rate: its peak rate; None for a tenth of the first training's.
        conv: bits of convolutions.
        linear: bits of fully connected layers (published: 5; 6 for LeNet-300-100).
        start: where k-means begins: ``linear``, ``density`` or ``random``.
        tuning_epochs: epochs of tuning the shared values.
        tuning_rate: its peak rate; None for a thousandth of the first training's.
        index_bits: bits of the gap from one weight to the next.

    Example:
        >>> pipeline = deep_compression(linear=6)
        >>> pipeline.prune.allocation.name, pipeline.share.conv, pipeline.share.linear, pipeline.code.coder
        ('std_threshold', 8, 6, 'huffman')
    """
    return Pipeline(
        prune=han_2015(sparsity=sparsity, rounds=rounds, layers=layers, epochs=epochs, learning_rate=learning_rate),
        share=Share(conv=conv, linear=linear, start=start, epochs=tuning_epochs, learning_rate=tuning_rate),
        code=Code(coder="huffman", index_bits=index_bits),
    )
