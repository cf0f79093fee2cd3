"""Every kernel by itself, on cases of its own: against float64, against torch's time, and on which vectors it runs."""

from __future__ import annotations

import copy
import statistics
import time

import torch
from torch import Tensor, nn

from ..core.errors import ModelError
from .compile import compile
from .kernels.attention import bench as attention
from .kernels.common import Case
from .kernels.depthwise import bench as depthwise
from .kernels.gemv import bench as gemv
from .kernels.layer_norm import bench as layer_norm
from .kernels.mean import bench as mean
from .kernels.pointwise import bench as pointwise
from .kernels.pool import bench as pool
from .kernels.repack import bench as repack
from .kernels.spmm import bench as spmm
from .target import TARGETS, host

__all__ = ["CASES", "error", "milliseconds", "support"]

CASES: dict[str, dict[str, Case]] = {
    "attention": attention.CASES,
    "depthwise": depthwise.CASES,
    "gemv": gemv.CASES,
    "layer_norm": layer_norm.CASES,
    "mean": mean.CASES,
    "pointwise": pointwise.CASES,
    "pool": pool.CASES,
    "repack": repack.CASES,
    "spmm": spmm.CASES,
}


def error(op: str, case: str, vectors: str | None = None) -> float:
    """Largest difference to the same layer in float64 / the largest output.

    Example:
        >>> error("mean", "2048 @7") < 1e-5
        True
    """
    model, x = _made(op, case)
    found = compile(model, x, threads=1, seconds=0, vectors=vectors)(x)
    with torch.inference_mode():
        wanted = copy.deepcopy(model).double()(x.double())
    return float((found.double() - wanted).abs().max() / wanted.abs().max())


def milliseconds(op: str, case: str, seconds: float = 0.5) -> tuple[float, float]:
    """Medians of the compiled layer's calls and of eager torch's, in turns, on one thread each."""
    model, x = _made(op, case)
    fast = compile(model, x, threads=1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    ours: list[float] = []
    theirs: list[float] = []
    try:
        with torch.inference_mode():
            end = time.perf_counter() + seconds
            while len(ours) < 5 or time.perf_counter() < end:
                for call, times in ((fast, ours), (model, theirs)):
                    call(x)  # its values come into the caches
                    start = time.perf_counter()
                    call(x)
                    times.append(1e3 * (time.perf_counter() - start))
    finally:
        torch.set_num_threads(before)
    return statistics.median(ours), statistics.median(theirs)


def support(op: str, case: str) -> dict[str, str]:
    """For each kind of vectors: the kernels that run, or why none does."""
    model, x = _made(op, case)
    found = {}
    for name in TARGETS:
        try:
            host(name)
        except ModelError:
            found[name] = "not on this CPU"
            continue
        report = compile(model, x, threads=1, seconds=0, vectors=name).report
        assert report is not None
        found[name] = ", ".join(dict.fromkeys(r.kernel for r in report.layers))
    return found


def _made(op: str, case: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model, x = CASES[op][case]()
    return model.eval(), x
