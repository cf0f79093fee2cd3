"""BERT-base's encoder on 128 tokens, pruned by magnitude and compiled, against dense onnxruntime and OpenVINO.

python benchmarks/experiments/compile_bert.py --threads 1   # adds a row to benchmarks/results/compile-bert.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from common import write
from engines import SETTINGS, against, mask_, merge, threads_of, verdicts
from torch import Tensor, nn
from transformers import BertConfig, BertModel

TARGETS = {"90%": 3.5, "95%": 5.5}


class Encoder(nn.Module):
    """From embeddings to the last hidden state."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = BertModel(BertConfig(), add_pooling_layer=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.bert(inputs_embeds=x).last_hidden_state


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sparsities", type=float, nargs="+", default=(0.0, 0.9, 0.95))
    o = parser.parse_args()
    torch.manual_seed(0)
    dense, ours = Encoder().eval(), {}
    for s in o.sparsities:
        ours[f"{s:.0%}"] = Encoder()
        ours[f"{s:.0%}"].load_state_dict(dense.state_dict())
        mask_(ours[f"{s:.0%}"], s).eval()
    with tempfile.TemporaryDirectory() as folder:
        found = against(ours, dense, torch.randn(1, 128, 768), o.threads, Path(folder), "bert", o.seconds, burst=3)
    rows = merge("compile-bert", {f"batch 1, {threads_of(o.threads)}": found})
    checks = {}
    for key, row in rows.items():
        checks |= verdicts(key, row, TARGETS)
    write(
        "compile-bert", "BERT-base's encoder with zeros is faster than dense engines", {**SETTINGS, "tokens": 128}, rows, checks
    )


if __name__ == "__main__":
    main()
