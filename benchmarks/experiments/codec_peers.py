"""Compressed files against general compressors and NNCodec, on the same LeNet-300-100 at 90 %, as it is and with shared weights.

Every peer gets the same weights in the form that suits it best: the dense tensors, or bitmasks and values, with the values'
bytes in planes, or bitmasks, codebooks and numbers. All is lossless; each is decoded and compared. zstandard and nncodec are
looked for where ``--peers`` and ``--nncodec`` say; neither is a dependency of this library.

    pip install --target peers --no-deps zstandard
    python -m venv other && other/bin/pip install nncodec
    python benchmarks/experiments/codec_peers.py --peers peers --nncodec other/bin/python
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import finish, write
from safetensors.torch import save
from torch import nn

import secateur as sc
from secateur.codec import bitmask, inspect_file
from secateur.lab import Experiment, load_model
from secateur.training import Training

START = Experiment(
    task="mnist", model="lenet_300_100", method="global_magnitude", method_arguments=(("epochs", 4.0), ("sparsity", 0.9)),
    training=Training(epochs=6, batch_size=128, learning_rate=0.1, weight_decay=1e-4),
)  # fmt: skip
BITS = (5, 4, 3)


def shared(pruned: dict[str, torch.Tensor], bits: int) -> nn.Module:
    """The pruned network with 2^bits values a layer."""
    model = START.build_model()
    model.load_state_dict(pruned)
    sc.Sharer(model, sc.Share(linear=bits)).finish()
    return model


def dense_bytes(state: dict[str, torch.Tensor]) -> bytes:
    return save({k: v.contiguous() for k, v in state.items()})


def shuffled(raw: np.ndarray) -> bytes:
    """The bytes of numbers, plane by plane."""
    return raw.view(np.uint8).reshape(len(raw), -1).T.tobytes()


def sparse_bytes(state: dict[str, torch.Tensor]) -> bytes:
    """Bitmasks and values in planes, of each tensor; without names and shapes, in the peers' favour."""
    out = b""
    for value in state.values():
        bits, values = bitmask.pack(value)
        out += bits.numpy().tobytes() + shuffled(values.numpy())
    return out


def number_bytes(state: dict[str, torch.Tensor]) -> bytes:
    """Bitmasks, codebooks and a byte for each number in them, of tensors that have one; the others as above."""
    out = b""
    for value in state.values():
        bits, values = bitmask.pack(value)
        book, number = torch.unique(values, return_inverse=True)
        if len(book) > 256:
            out += sparse_bytes({"": value})
        else:
            out += bits.numpy().tobytes() + book.numpy().tobytes() + number.to(torch.uint8).numpy().tobytes()
    return out


def zipped(raw: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        z.writestr("model", raw)
    return file.getvalue()


def unzipped(raw: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as z:
        return z.read("model")


def general(peers: str | None) -> dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]]:
    """Compressors by name, with what undoes them."""
    extreme = {"format": lzma.FORMAT_XZ, "preset": 9 | lzma.PRESET_EXTREME}
    found = {
        "zip -9": (zipped, unzipped),
        "gzip -9": (lambda b: gzip.compress(b, 9, mtime=0), gzip.decompress),
        "bzip2 -9": (lambda b: bz2.compress(b, 9), bz2.decompress),
        "xz -9e": (lambda b: lzma.compress(b, **extreme), lzma.decompress),
    }
    if peers:
        sys.path.insert(0, peers)
        import zstandard

        zstd = zstandard.ZstdCompressor(level=19)
        found["zstd -19"] = (zstd.compress, zstandard.ZstdDecompressor().decompress)
    return found


def theirs(state: dict[str, torch.Tensor], peers: str | None) -> dict[str, int]:
    sizes = {}
    forms = {"dense": dense_bytes(state), "bitmask, byte planes": sparse_bytes(state), "bitmask, numbers": number_bytes(state)}
    for name, (pack, unpack) in general(peers).items():
        for form, raw in forms.items():
            packed = pack(raw)
            assert unpack(packed) == raw
            sizes[f"{name} of {form}"] = len(packed)
    return sizes


def ours(model: nn.Module) -> dict[str, int]:
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        for coder in ("range", "rans", "huffman", "none"):
            sc.compress(model, path, coder=coder)
            back = sc.load(path, START.build_model())
            assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), back.state_dict().values(), strict=True))
            sizes[f"secateur {coder}"] = path.stat().st_size
            if coder == "range":
                sizes["secateur range, matrices alone"] = sum(r.bytes for r in inspect_file(path) if len(r.shape) > 1)
    return sizes


def nncodec(state: dict[str, torch.Tensor], python: str | None) -> dict[str, Any]:
    """NNCodec on the matrices as numbers in a codebook, which it codes without loss; and what it says when it does not."""
    if not python:
        return {}
    numbers = {}
    for name, value in state.items():
        if value.dim() > 1:
            book = torch.unique(torch.cat([value.reshape(-1), torch.zeros(1)]))
            zero = int((book == 0).nonzero())
            numbers[name] = (torch.searchsorted(book, value) - zero).to(torch.int32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers.npz"
        np.savez(path, **{k: v.numpy() for k, v in numbers.items()})
        script = Path(__file__).with_name("codec_nncodec.py")
        done = subprocess.run([python, script, path, folder], capture_output=True, text=True, timeout=900)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def versions(python: str | None, peers: str | None) -> dict[str, str | None]:
    """Of the peers that are not in Python itself."""
    ask = "import importlib.metadata as m; print(m.version({!r}))"
    zstd = sys.executable if peers else None
    found = {}
    for name, runner in (("zstandard", zstd), ("nncodec", python)):
        done = runner and subprocess.run(
            [runner, "-c", ask.format(name)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": peers or ""}
        )
        found[name] = done.stdout.strip() or None if done else None
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/papers"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--peers", default=None, help="folder that zstandard is installed in")
    parser.add_argument("--nncodec", default=None, help="a Python that has nncodec")
    options = parser.parse_args()
    finish([START], options)
    model = load_model(START, options.out)
    pruned = {k: v.clone() for k, v in model.state_dict().items()}
    figures, checks = {}, {}
    for bits in (None, *BITS):
        if bits:
            model = shared(pruned, bits)
        state = model.state_dict()
        mine, other = ours(model), theirs(state, options.peers)
        coded = nncodec(state, options.nncodec) if bits else {}
        what = f"{bits}-bit codebooks" if bits else "float32 values"
        dense = sum(v.nbytes for v in state.values())
        best = min(other.values())
        figures[what] = {"dense bytes": dense, "ours": mine, "peers": other, "NNCodec, matrices alone": coded,
                         "smaller than the best general peer": best / mine["secateur range"]}  # fmt: skip
        checks[f"{what}: smaller than every general compressor"] = mine["secateur range"] < best
        if "bytes" in coded:
            checks[f"{what}: smaller than NNCodec, matrices alone"] = mine["secateur range, matrices alone"] < coded["bytes"]
    weights = [v for v in pruned.values() if v.dim() > 1]
    kept = sum(int(v.count_nonzero()) for v in weights) / sum(v.numel() for v in weights)
    settings = {"experiment": START.to_dict(), "sparsity": 1 - kept, "peers": versions(options.nncodec, options.peers)}
    write("codec-peers", "at equal weights, smaller than zip, gzip, bzip2, xz, zstd and NNCodec", settings, figures, checks)


if __name__ == "__main__":
    main()
