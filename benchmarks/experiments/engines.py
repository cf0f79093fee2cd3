"""Peers that run a model on a CPU, and models with the zeros that compile is measured on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import secateur as sc
from secateur.core.timing import Comparison, compare_latency

Call = Callable[[], Any]


def export(model: nn.Module, x: Tensor, folder: Path, name: str) -> Path:
    """The dense model as ONNX, once."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        torch.onnx.export(model.eval(), (x,), path, dynamo=True, verbose=False)
    return path


def onnxruntime_call(path: Path, x: Tensor, threads: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)


def openvino_call(path: Path, x: Tensor, threads: int) -> Call:
    import openvino

    core = openvino.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    model = core.read_model(path)
    model.reshape(list(x.shape))
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    feed = {0: x.numpy()}
    return lambda: request.infer(feed, share_inputs=True, share_outputs=True)


def peers(model: nn.Module, x: Tensor, threads: int, folder: Path, name: str) -> dict[str, Call]:
    """Both dense engines on the same model."""
    path = export(model, x, folder, name)
    return {"onnxruntime": onnxruntime_call(path, x, threads), "openvino": openvino_call(path, x, threads)}


@torch.no_grad()
def mask_(model: nn.Module, sparsity: float, block: int = 1) -> nn.Module:
    """Zero the smallest weights of every layer but the first convolution and depthwise ones; ``block`` rows at a time."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    first = next((m for m in layers if isinstance(m, nn.Conv2d)), None)
    for m in layers:
        rows = m.weight.shape[0]
        if m is first or (isinstance(m, nn.Conv2d) and m.groups > 1) or rows % block:
            continue
        score = m.weight.abs().view(rows // block, block, -1).sum(1)
        gone = int(sparsity * score.numel())
        if gone:
            keep = score > score.flatten().kthvalue(gone).values
            m.weight.mul_(keep.repeat_interleave(block, 0).view_as(m.weight))
    return model


def settled(model: nn.Module, shape: tuple[int, ...], batches: int = 2) -> nn.Module:
    """Batch norms with statistics, so that activations are neither dead nor endless."""
    model.train()
    with torch.no_grad():
        for _ in range(batches):
            model(torch.randn(shape))
    return model.eval()


def against(
    ours: dict[str, nn.Module], dense: nn.Module, x: Tensor, threads: int, folder: Path, name: str, seconds: float, tries: float
) -> tuple[Comparison, dict[str, sc.runtime.Compiled]]:  # type: ignore[name-defined]
    """Dense peers and compiled models in turns.

    Args:
        ours: models to compile, by name.
        dense: what the peers run.
        x: the input.
        threads: for everybody.
        folder: for ONNX files.
        name: of the workload.
        seconds: of timing for each.
        tries: budget of compile.
    """
    calls = peers(dense, x, threads, folder, name)
    compiled = {n: sc.compile(m, x, threads=threads, seconds=tries) for n, m in ours.items()}
    calls |= {n: lambda c=c: c(x) for n, c in compiled.items()}
    return compare_latency(calls, threads=threads, warmup=3, seconds=seconds, min_repeats=5), compiled


def row(found: Comparison, compiled: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of everybody, and how many times faster than the best peer each compiled model is."""
    times = {n: t.median_ms for n, t in found.latencies.items()}
    best = min(times[n] for n in ("onnxruntime", "openvino"))
    out: dict[str, Any] = {"ms": times, "times_faster_than_the_best_peer": {n: best / times[n] for n in compiled}}
    out["bytes_a_nonzero"] = {n: c.report.nbytes / c.report.nonzeros for n, c in compiled.items() if c.report.nonzeros}
    out["differs_from_eager_by"] = {n: c.report.error for n, c in compiled.items()}
    return out
