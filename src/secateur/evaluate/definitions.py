"""The four ratios and the accuracy that every report carries, as pure functions (Blalock et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["compression_ratio", "file_ratio", "measured_speedup", "theoretical_speedup", "top_k_accuracy"]


def _ratio(before: float, after: float, what: str) -> float:
    if before < 0 or after < 0:
        raise ValueError(f"{what} takes counts of at least 0; got {before} and {after}")
    if after == 0:
        return float("inf") if before else 1.0
    return before / after


def compression_ratio(original_params: int, nonzero_params: int) -> float:
    """Original parameters / non-zero parameters, over all tensors of the network.

    Args:
        original_params: parameters of the dense network.
        nonzero_params: parameters of the pruned network that are not zero; with none left the ratio is infinite.

    Raises:
        ValueError: a negative count.

    Example:
        >>> compression_ratio(266_610, 26_661)
        10.0

    Reference:
        Blalock et al. 2020, What is the State of Neural Network Pruning?, section 6.
    """
    return _ratio(original_params, nonzero_params, "compression_ratio")


def theoretical_speedup(original_macs: int, effective_macs: int) -> float:
    """Original multiply-adds / multiply-adds that meet a non-zero weight; one multiply-add = 1.

    Args:
        original_macs: multiply-adds of the dense network.
        effective_macs: multiply-adds of the pruned network.

    Raises:
        ValueError: a negative count.

    Example:
        >>> theoretical_speedup(125_485_696, 62_742_848)
        2.0

    Reference:
        Blalock et al. 2020, section 6.
    """
    return _ratio(original_macs, effective_macs, "theoretical_speedup")


def file_ratio(dense_bytes: int, file_bytes: int) -> float:
    """Bytes of the dense float32 parameters / bytes of the file.

    Args:
        dense_bytes: four times the parameters of the dense network.
        file_bytes: size of the file of the pruned one, header included.

    Raises:
        ValueError: a negative size.

    Example:
        >>> file_ratio(4 * 1000, 500)
        8.0
    """
    return _ratio(dense_bytes, file_bytes, "file_ratio")


def measured_speedup(dense_seconds: float, new_seconds: float) -> float:
    """Dense latency / new latency: warm, median, same run, against the best dense engine at hand.

    Args:
        dense_seconds: latency of the dense network, in any unit.
        new_seconds: latency of the pruned network, in the same unit.

    Raises:
        ValueError: a negative time.

    Example:
        >>> measured_speedup(12.0, 4.0)
        3.0
    """
    return _ratio(dense_seconds, new_seconds, "measured_speedup")


def top_k_accuracy(scores: Tensor, targets: Tensor, ks: Iterable[int] = (1,)) -> dict[int, float]:
    """Fraction of examples whose class is among the k highest scores.

    An example counts for k when fewer than k classes score higher than its own or, at equal scores, come before it; an
    example whose own score is not a number is wrong for every k, so a network that diverged is never right by accident.

    Args:
        scores: [examples, classes].
        targets: [examples], class indices.
        ks: each at least 1.

    Raises:
        ValueError: shapes that do not fit, no examples, a class that does not exist, or a k below 1.

    Example:
        >>> top_k_accuracy(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), torch.tensor([1, 2]), ks=(1, 3))
        {1: 0.5, 3: 1.0}
    """
    if scores.dim() != 2 or targets.shape != scores.shape[:1] or not len(targets):
        raise ValueError(
            f"top_k_accuracy takes [examples, classes] and [examples]; got {list(scores.shape)} and {list(targets.shape)}"
        )
    ks = tuple(ks)
    if any(k < 1 for k in ks) or int(targets.min()) < 0 or int(targets.max()) >= scores.shape[1]:
        raise ValueError(f"k must be at least 1 and targets classes from 0 to {scores.shape[1] - 1}; got k {ks}")
    own = scores.gather(1, targets.long()[:, None])
    before = torch.arange(scores.shape[1], device=scores.device) < targets[:, None]
    rank = ((scores > own) | ((scores == own) & before)).sum(1)
    right = ~own.isnan()[:, 0]
    return {k: float(((rank < k) & right).double().mean()) for k in ks}
