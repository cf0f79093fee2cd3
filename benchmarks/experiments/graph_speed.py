"""How long it takes to find the coupled dimensions of large models, and the sizes that Python holds of them, after tracing.

On the meta device.

No weight is allocated: the resident memory of the process is measured too.

    python benchmarks/experiments/graph_speed.py
"""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import write
from torch import nn

from secateur.graph import rules  # noqa: F401
from secateur.graph.collect import collect
from secateur.graph.groups import tied_names
from secateur.graph.propagate import Propagation
from secateur.graph.provenance import requirements
from secateur.graph.record import record

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "graph"))
REPEATS = 5
LLAMA = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
}


def resnet() -> tuple[nn.Module, Any]:
    import nets

    return nets.ResNet(), torch.zeros(1, 3, 224, 224)


def bert() -> tuple[nn.Module, Any]:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig()), {"input_ids": torch.zeros(1, 128, dtype=torch.int64)}


def llama() -> tuple[nn.Module, Any]:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**LLAMA)), {"input_ids": torch.zeros(1, 128, dtype=torch.int64), "use_cache": False}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(make: Callable[[], tuple[nn.Module, Any]]) -> dict[str, Any]:
    with torch.device("meta"):
        model, inputs = make()
    before = peak()
    start = time.perf_counter()
    recording = record(model.eval(), inputs)
    traced = time.perf_counter() - start
    tied, seconds = tied_names(model), []
    for _ in range(REPEATS):
        gc.collect()
        start = time.perf_counter()
        labels = Propagation(recording.program, tied)
        requirements(recording, labels)
        groups = collect(labels, tied)
        seconds.append(time.perf_counter() - start)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds_tracing": round(traced, 3),
        "seconds_grouping_median": round(statistics.median(seconds), 3),
        "seconds_grouping_worst": round(max(seconds), 3),
        "peak_memory_added_mib": round(peak() - before, 1),
        "groups": len(groups),
        "prunable": len(groups.prunable),
        "operations_without_a_rule": sorted({name for name, _ in groups.unknown}),
    }


def main() -> None:
    torch.set_num_threads(1)
    limits = {"resnet_50": (resnet, 2.0), "bert_base": (bert, 5.0), "llama_1b": (llama, 60.0)}
    figures = {name: measure(make) for name, (make, _) in limits.items()}
    checks = {f"{name} ≤ {most:g} s": figures[name]["seconds_grouping_worst"] <= most for name, (_, most) in limits.items()}
    bytes_of_weights = figures["llama_1b"]["parameters"] * 4 / 2**20
    checks["the Llama's weights are not allocated"] = figures["llama_1b"]["peak_memory_added_mib"] < bytes_of_weights / 4
    settings = {"repeats": REPEATS, "threads": 1, "device": "meta", "llama_1b": LLAMA}
    write("graph-speed", "Coupled dimensions are found in seconds, and without weights", settings, figures, checks)


if __name__ == "__main__":
    main()
