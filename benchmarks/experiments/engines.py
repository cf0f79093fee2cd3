"""Peers that run a model on a CPU, and models with the zeros that compile is measured on."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import RESULTS
from torch import Tensor, nn

import secateur as sc
from secateur.core.environment import environment
from secateur.runtime.target import host
from secateur.runtime.tune import alone

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


_REST = 0.03  # seconds, in which the threads of whoever came before stop waiting for more work


def turns(calls: dict[str, Call], seconds: float, burst: int = 4) -> dict[str, dict[str, float]]:
    """Milliseconds of calls that take turns, each a few times in a row, the first of which is not counted: its caches are cold.

    Between them there is a rest, since engines' threads go on spinning for a while after a call.

    Both by the clock, and by the processor time of this process, which does not run while other work has the processor.

    Args:
        calls: by name.
        seconds: of all together.
        burst: calls in a row.
    """
    wall: dict[str, list[float]] = {n: [] for n in calls}
    processor: dict[str, list[float]] = {n: [] for n in calls}
    with torch.inference_mode():
        end = time.perf_counter() + seconds
        rounds = 0
        while rounds < 5 or time.perf_counter() < end:
            for name, call in calls.items():
                time.sleep(_REST)
                call()
                for _ in range(burst - 1):
                    start, used = time.perf_counter(), time.process_time()
                    call()
                    processor[name].append(1e3 * (time.process_time() - used))
                    wall[name].append(1e3 * (time.perf_counter() - start))
            rounds += 1
    return {
        n: {"median": statistics.median(t), "p10": statistics.quantiles(t, n=10)[0],
            "processor_median": statistics.median(processor[n]), "calls": len(t)}
        for n, t in wall.items()
    }  # fmt: skip


def roof() -> dict[str, float]:
    """What one thread of this machine can do: its quickest matrix product, and copies within the last cache and in memory."""
    a = torch.randn(512, 512)
    x, layer = torch.randn(1, 64, 10, 16), nn.Conv2d(64, 512, 1)  # whatever pixels a tile has, they lie in the first cache
    ours = alone(sc.compile(layer.eval(), x, threads=1), x)
    found = turns({"ours": ours, "torch": lambda: a @ a}, 2.0, burst=20)
    flops = {"ours": 2 * 64 * 512 * 160, "torch": 2 * 512**3}
    sizes = {"gb_per_s_in_cache": 2 << 20, "gb_per_s_in_memory": 256 << 20}
    blocks = {k: (torch.ones(n // 4), torch.empty(n // 4)) for k, n in sizes.items()}
    copies = turns({k: lambda b=b: b[1].copy_(b[0]) for k, b in blocks.items()}, 2.0)
    rates = {k: 2 * sizes[k] / (1e6 * t["p10"]) for k, t in copies.items()}  # read and written
    return {"gflops": max(flops[k] / (1e6 * t["p10"]) for k, t in found.items()), **rates}


def under_the_roof(top: dict[str, float], flops: float, moved: float, ms: float) -> dict[str, float]:
    """Where a kernel lies under the roof of its intensity, values in the last cache.

    Args:
        top: of this machine.
        flops: useful ones, twice the weights that are left times the pixels.
        moved: bytes of weights, inputs and outputs, each once.
        ms: that it takes.
    """
    limit = min(top["gflops"], flops / moved * top["gb_per_s_in_cache"])
    return {"flops_per_byte": flops / moved, "gflops": flops / (1e6 * ms), "share_of_the_roof": flops / (1e6 * ms) / limit}


def against(
    ours: dict[str, nn.Module],
    dense: nn.Module,
    x: Tensor,
    threads: int,
    folder: Path,
    name: str,
    seconds: float,
    tries: float = 10.0,
    burst: int = 4,
) -> dict[str, Any]:
    """Dense peers and compiled models in turns: times, and how many times faster than the best peer each is.

    Args:
        ours: models to compile, by name.
        dense: what the peers run.
        x: the input.
        threads: for everybody.
        folder: for ONNX files.
        name: of the workload.
        seconds: of timing in all.
        tries: budget of compile for each.
        burst: calls in a row.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    calls = peers(dense, x, threads, folder, name)
    compiled = {n: sc.compile(m, x, threads=threads, seconds=tries) for n, m in ours.items()}
    calls |= {n: lambda c=c: c(x) for n, c in compiled.items()}
    found = turns(calls, seconds, burst)
    torch.set_num_threads(before)
    return {
        "ms": found,
        **faster(found, list(compiled), threads),
        "bytes_a_nonzero": {n: c.report.nbytes / c.report.nonzeros for n, c in compiled.items() if c.report},
        "differs_from_eager_by": {n: c.report.error for n, c in compiled.items() if c.report},
        **{k: environment()[k] for k in ("commit", "processor")},  # rows of one file may be measured at several
    }


def faster(found: dict[str, dict[str, float]], names: list[str], threads: int) -> dict[str, dict[str, float]]:
    """How many times faster than the best peer: by the clock, and on one thread by processor time."""

    def times(what: str) -> dict[str, float]:
        best = min(found[n][what] for n in ("onnxruntime", "openvino"))
        return {n: best / found[n][what] for n in names}

    told = {"times_faster_than_the_best_peer": times("median"), "times_faster_by_the_tenth_percentiles": times("p10")}
    return {**told, "times_faster_by_processor_time": times("processor_median")} if threads == 1 else told


def verdicts(key: str, row: dict[str, Any], targets: dict[str, float]) -> dict[str, bool]:
    """Whether a row reaches its targets: on one thread by processor time, else by tenth percentiles; and by the clock."""
    robust = row.get("times_faster_by_processor_time", row["times_faster_by_the_tenth_percentiles"])
    how = "processor time" if "times_faster_by_processor_time" in row else "tenth percentile"
    found = {}
    for at, target in targets.items():
        if at in robust:
            found[f"{key}, {at}: ≥ {target}× the best dense engine ({how})"] = robust[at] >= target
            found[f"{key}, {at}: ≥ {target}× (median by the clock)"] = row["times_faster_than_the_best_peer"][at] >= target
    found[f"{key}: never slower than 0.95× ({how})"] = min(robust.values()) >= 0.95
    return found


def threads_of(threads: int) -> str:
    """For the name of a row: threads, and the vectors where they are not AVX2's, so that machines do not overwrite each other."""
    own = host().name
    return f"{threads} thread{'s'[: threads > 1]}" + (f", {own}" if own != "avx2" else "")


def merge(name: str, rows: dict[str, Any]) -> dict[str, Any]:
    """Rows of an earlier part of the same experiment, with these added: each part is short enough for a quiet machine."""
    path = RESULTS / f"{name}.json"
    before = json.loads(path.read_text())["figures"] if path.exists() else {}
    return {**before, **rows}


SETTINGS = {
    "peers": "onnxruntime and openvino, dense, float32, the same network without its zeros",
    "masks": "magnitude, the same share of every layer's weights; first convolution and depthwise layers dense; random weights",
    "timing": "in turns, a few calls in a row, the first of which is not counted; medians and tenth percentiles of all others",
    "machine": "a virtual one with two cores, shared with other work: times by the clock suffer from it, processor times do not",
    "seed": 0,
}
