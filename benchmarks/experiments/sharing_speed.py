"""K-means on the weights of a layer: 25 million of them, and against scikit-learn's from the same start.

python benchmarks/experiments/sharing_speed.py       # writes benchmarks/results/sharing-speed.json
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import write
from sklearn.cluster import KMeans

from secateur import Share
from secateur.codec.quantise import centroids, kmeans

LARGE, SMALL, BITS, SEED = 25_000_000, 100_000, 5, 0


def seconds(work: Callable[[], Any], times: int = 1) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def weights(n: int, sparsity: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(SEED)
    drawn = 0.02 * torch.randn(n, generator=generator)
    return drawn * (torch.rand(n, generator=generator) >= sparsity)


def against_sklearn(start: str) -> dict[str, float]:
    """One layer of few weights by both, in turns, from the same start to where nothing moves."""
    values = weights(SMALL, 0.0)
    begin = centroids(values, 2**BITS, start, SEED)
    peer = KMeans(2**BITS, init=begin.numpy()[:, None], n_init=1, tol=0, max_iter=10_000, algorithm="lloyd")
    column = values.double().numpy()[:, None]
    ours, theirs = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            ours.append(seconds(lambda: kmeans(values, begin)))
            theirs.append(seconds(lambda: peer.fit(column)))
    apart = np.abs(np.sort(peer.cluster_centers_[:, 0]) - kmeans(values, begin).numpy()).max()
    mine, other = statistics.median(ours), statistics.median(theirs)
    return {"seconds": mine, "sklearn_seconds": other, "times_faster": other / mine, "largest_difference": float(apart)}


def main() -> None:
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"25 million weights": {}, "100 thousand weights, against scikit-learn": {}}
    for sparsity in (0.0, 0.9):
        tensor = weights(LARGE, sparsity).view(5000, 5000)
        for start in ("linear", "density", "random"):
            share = Share(linear=BITS, start=start)
            label = f"{sparsity:.0%} pruned, {start} start"
            figures["25 million weights"][label] = {"seconds": seconds(lambda s=share, t=tensor: s.quantise("fc", t))}
    for start in ("density", "random"):
        figures["100 thousand weights, against scikit-learn"][f"{start} start"] = against_sklearn(start)
    slowest = max(v["seconds"] for v in figures["25 million weights"].values())
    peers = figures["100 thousand weights, against scikit-learn"].values()
    write(
        "sharing-speed",
        "Weight sharing by exact k-means takes seconds for 25 million weights on one core",
        {"bits": BITS, "seed": SEED, "threads": 1, "weights": "normal, standard deviation 0.02"},
        figures,
        {
            "at most 10 s for 25 million weights": slowest <= 10,
            "the same centroids as scikit-learn's": all(p["largest_difference"] < 1e-9 for p in peers),
            "faster than scikit-learn": all(p["times_faster"] > 1 for p in peers),
        },
    )


if __name__ == "__main__":
    main()
