"""Damaged and hostile files of every version: each loads equal to what was saved or is refused with one sentence.

Two kinds of damage. *Accidents*: bytes flipped, cut, inserted, doubled, or taken from another file; such a file must be refused,
or load equal to the original. *Attacks*: payloads and indices of compressed files are changed and every checksum mended, as
someone would who means harm; such a file must be refused or give tensors of the model's shapes, in bounded time and memory.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from secateur.codec import compress, inspect_file, load, save
from secateur.codec.compress import CODERS
from secateur.codec.positions import LAYOUTS
from secateur.core.errors import FormatError

SECONDS, MEGABYTES = 5.0, 200  # that one file may take


class Bag(nn.Module):
    def __init__(self, fill: float | None = None) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        sparse = torch.randn(3, 24, generator=g) * (torch.rand(3, 24, generator=g) < 0.2)
        tensors = {
            "shared": (sparse * 2).round() / 2, "sparse": sparse, "dense": torch.randn(9, generator=g),
            "half": sparse.bfloat16(), "flags": sparse != 0, "bytes": (sparse * 3).to(torch.int8),
            "steps": torch.tensor(3), "zeros": torch.zeros(50),
            "blocks": sparse.repeat_interleave(4, 0)[:, :8].repeat(1, 2),
        }  # fmt: skip
        for name, value in tensors.items():
            value = value if fill is None else torch.full_like(value, fill)
            self.register_buffer(f"b_{name}", value)


def originals(folder: Path) -> list[bytes]:
    model, made = Bag(), []
    save(model, folder / "m", metadata={"note": "text"})
    made.append((folder / "m").read_bytes())
    for coder in CODERS:
        for layout in (None, *LAYOUTS):
            compress(model, folder / "m", coder=coder, layout=layout, metadata={"note": "text"})
            made.append((folder / "m").read_bytes())
    return list(dict.fromkeys(made))


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if data:
            at = rng.randrange(len(data))
            data[at] = rng.choice((data[at] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255, 127, 128))


def rearrange(data: bytearray, other: bytes, rng: random.Random) -> None:
    a, n = rng.randrange(len(data) + 1), rng.choice((1, 2, 7, 8, 64, 500))
    kind = rng.randrange(5)
    if kind == 0:
        del data[a:]
    elif kind == 1:
        del data[a : a + n]
    elif kind == 2:
        data[a:a] = rng.randbytes(n)
    elif kind == 3:
        data[a:a] = data[a : a + n]
    else:
        data[a : a + n] = other[a : a + n]


def attack(content: bytes, rng: random.Random | None) -> bytes | None:
    """Change the payloads or the index of a compressed file, and mend lengths and checksums; None of other files."""
    head = int.from_bytes(content[:8], "little")
    body = content[8 + head :]
    if b'format_version\\":\\"3' not in content[: 8 + head]:
        return None
    size = int.from_bytes(body[-8:-4], "little")
    unpacker = zlib.decompressobj(-15)
    fields, payloads = bytearray(unpacker.decompress(body[-8 - size : -8])), bytearray(body[: -8 - size])
    sums = len(unpacker.unused_data) // 4
    if rng is not None:
        flip(payloads if rng.random() < 0.7 else fields, rng)
    return seal(fields, payloads, sums)


def mended(content: bytes) -> bytes:
    """A file without damage, taken apart and sealed again."""
    found = attack(content, None)
    return content[:9] if found is None else found


def judge_bytes(path: Path, content: bytes, expected: dict[str, torch.Tensor]) -> str:
    path.write_bytes(content)
    return judge(path, expected, True)


def seal(fields: bytes, payloads: bytes, tensors: int) -> bytes:
    """A file of these parts under valid checksums, as far as the index can be read."""
    sums, at = [], 0
    for length in lengths(fields, tensors):
        sums.append(zlib.crc32(payloads[at : at + length]))
        at += length
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    tail = packer.compress(fields) + packer.flush() + b"".join(s.to_bytes(4, "little") for s in sums)
    tail += len(tail).to_bytes(4, "little")
    body = bytes(payloads) + tail + zlib.crc32(tail).to_bytes(4, "little")
    about = {"secateur": '{"format_version":"3"}'}
    tensor = {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}
    text = json.dumps({"__metadata__": about, "secateur": tensor}, separators=(",", ":")).encode()
    return len(text).to_bytes(8, "little") + text + body


def lengths(fields: bytes, tensors: int) -> list[int]:
    """Of the payloads, as the index says; zeros where it cannot be read."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            value |= (fields[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if fields[at - 1] < 128:
                return value

    try:
        count = number() + number()
        for _ in range(count):
            length = number()
            at += length
        at += tensors
        for _ in range(tensors):
            for _ in range(number()):
                number()
        return [(number(), number())[1] for _ in range(tensors)]
    except IndexError:
        return [0] * tensors


def judge(path: Path, expected: dict[str, torch.Tensor], accident: bool) -> str:
    """What became of a file; AssertionError when it is not what it should be."""
    model = Bag(fill=1.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    try:
        load(path, model)
    except FormatError as e:
        one_sentence(path, e)
        found = "refused"
        if not all(torch.equal(v, before[k]) for k, v in model.state_dict().items()):
            raise AssertionError("the model was changed") from e
    else:
        same = all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())
        assert same or not accident, "silent garbage"
        found = "equal" if same else "another valid file"
    try:
        if zlib.crc32(path.read_bytes()) % 5 == 0:
            inspect_file(path)
    except FormatError as e:
        one_sentence(path, e)
    return found


def one_sentence(path: Path, error: FormatError) -> None:
    assert str(error).startswith(str(path)), error
    assert "\n" not in str(error), error


def fuzz(files: int, seed: int, tell: bool = False) -> dict[str, Any]:
    """Judge that many damaged files; what became of them, the slowest, and how much memory grew."""
    rng, counts, slowest = random.Random(seed), Counter(), 0.0
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path, bases, expected = Path(folder) / "m", originals(Path(folder)), Bag().state_dict()
        for base in bases:
            path.write_bytes(base)
            assert judge(path, expected, True) == "equal"
        assert sum(judge_bytes(path, mended(b), expected) == "equal" for b in bases) == len(bases) - 1, "mending does not mend"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(files):
            base = rng.choice(bases)
            hostile = attack(base, rng) if rng.random() < 0.15 else None
            if hostile is None:
                data = bytearray(base)
                (flip(data, rng) if rng.random() < 0.5 else rearrange(data, rng.choice(bases), rng))
                hostile, accident = bytes(data), True
            else:
                accident = False
            path.write_bytes(hostile)
            start = time.process_time()
            found = judge(path, expected, accident)
            slowest = max(slowest, time.process_time() - start)
            counts[("accident" if accident else "attack") + ": " + found] += 1
            if tell and i % 2_000 == 1_999:
                print(i + 1, dict(counts), f"{slowest:.2f} s", flush=True)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    return {
        "files": files,
        "outcomes": dict(sorted(counts.items())),
        "slowest seconds": round(slowest, 3),
        "megabytes": round(grown),
    }


def main() -> None:
    from common import write

    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    figures = fuzz(options.files, options.seed, tell=True)
    checks = {
        "at least 100,000 files": figures["files"] >= 100_000,
        "no crash, no sentence of two lines, no silent garbage": True,  # or an assertion would have ended it
        f"none took longer than {SECONDS} s": figures["slowest seconds"] < SECONDS,
        f"memory grew by less than {MEGABYTES} MB": figures["megabytes"] < MEGABYTES,
    }
    write("codec-fuzz", "Damaged and hostile files are refused with one sentence.", vars(options), figures, checks)


if __name__ == "__main__":
    main()
