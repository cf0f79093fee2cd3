"""A reader of format version 3 in plain Python, written from docs/format.md and nothing else: slow, and without this library."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator
from itertools import combinations

SIZES = (4, 2, 2, 8, 1, 1, 1, 2, 4, 8)  # bytes of the types 0 to 9


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        self.at += n
        return self.data[self.at - n : self.at]

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def varint(self) -> int:
        value = shift = 0
        while True:
            b = self.take(1)[0]
            value |= (b & 127) << shift
            shift += 7
            if b < 128:
                return value

    def numbers(self, n: int, size: int) -> list[int]:
        return [int.from_bytes(self.take(size), "little") for _ in range(n)]


def read(content: bytes) -> dict[str, tuple[int, tuple[int, ...], list[int]]]:
    """Type, shape and patterns of every tensor."""
    head = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + head])
    assert json.loads(header["__metadata__"]["secateur"])["format_version"] == "3"
    body = content[8 + head :]
    size = int.from_bytes(body[-8:-4], "little")
    assert zlib.crc32(body[-8 - size : -4]) == int.from_bytes(body[-4:], "little")
    unpacker = zlib.decompressobj(-15)
    index = Bytes(unpacker.decompress(body[-8 - size : -8]))
    count, ties = index.varint(), index.varint()
    names = [index.take(index.varint()).decode() for _ in range(count + ties)]
    kinds = list(index.take(count))
    shapes = [tuple(index.varint() for _ in range(index.varint())) for _ in range(count)]
    lengths = [(index.varint(), index.varint()) for _ in range(count)]
    owners = [index.varint() for _ in range(ties)]
    found, at = {}, 0
    for i in range(count):
        payload = body[at : at + lengths[i][1]]
        at += lengths[i][1]
        assert zlib.crc32(payload) == int.from_bytes(unpacker.unused_data[4 * i : 4 * i + 4], "little")
        found[names[i]] = (kinds[i], shapes[i], tensor(payload, lengths[i][0], shapes[i], SIZES[kinds[i]]))
    return found | {name: found[names[owner]] for name, owner in zip(names[count:], owners, strict=True)}


def tensor(payload: bytes, kept: int, shape: tuple[int, ...], size: int) -> list[int]:
    n = math.prod(shape)
    rows = shape[0] if len(shape) > 1 and n else 1
    columns = n // rows
    if not payload:
        return [0] * n
    data = Bytes(payload)
    first = data.take(1)[0]
    if first >> 4 == 5:
        return context(data, kept, rows, columns, size)
    coder = (fixed, huffman, rans)[first & 3]
    where = places(data, first >> 4, coder, n, rows, columns)
    out = [0] * n
    for i, v in zip(where, values(data, first >> 2 & 3, coder, len(where), size), strict=True):
        out[i] = v
    return out


Coder = Callable[[Bytes, int, int], list[int]]


def places(data: Bytes, layout: int, coder: Coder, n: int, rows: int, columns: int) -> list[int]:
    if layout == 0:
        return list(range(n))
    options = [data.take(1)[0], data.varint()] if layout == 2 else [data.varint(), data.varint()] if layout in (3, 4) else []
    part = Bytes(data.take(data.varint()))

    def bits(m: int) -> list[int]:
        symbols = coder(part, (m + 7) // 8, 256)
        return [i for i in range(m) if symbols[i // 8] >> i % 8 & 1]

    if layout == 1:
        return bits(n)
    if layout == 2:
        at, found = -1, []
        for gap in coder(part, options[1], 1 << options[0]):
            at += gap + 1
            found.append(at)
        return found
    a, b = options
    if layout == 3:
        blocks = {divmod(i, columns // b) for i in bits(n // (a * b))}
        return [i for i in range(n) if (i // columns // a, i % columns // b) in blocks]
    choices = list(combinations(range(b), a))
    return [b * g + i for g, s in enumerate(coder(part, n // b, len(choices))) for i in choices[s]]


def values(data: Bytes, kind: int, coder: Coder, n: int, size: int) -> list[int]:
    if kind == 0:
        return data.numbers(n, size)
    if kind == 1:
        book = data.numbers(data.varint(), size)
        return [book[i] for i in coder(Bytes(data.rest()), n, len(book))]
    turned = [0] * n
    for _ in range(size):
        length = data.varint()
        part = data.take(length >> 1)
        plane = coder(Bytes(part), n, 256) if length & 1 else list(part)
        turned = [t << 8 | p for t, p in zip(turned, plane, strict=True)]
    return [t >> 1 | (t & 1) << (8 * size - 1) for t in turned]


def fixed(data: Bytes, n: int, alphabet: int) -> list[int]:
    w = (alphabet - 1).bit_length()
    stream = int.from_bytes(data.take((n * w + 7) // 8), "little")
    return [stream >> i * w & (1 << w) - 1 for i in range(n)]


def huffman(data: Bytes, n: int, alphabet: int) -> list[int]:
    lengths, word, words = fixed(data, alphabet, 32), 0, {}
    for length in range(1, 17):
        word <<= 1
        for symbol in range(alphabet):
            if lengths[symbol] == length:
                words[length, word] = symbol
                word += 1
    for _ in range(-(-n // 4096) - 1):
        data.varint()
    bits = iter([b >> (7 - i) & 1 for b in data.rest() for i in range(8)])
    found = []
    for _ in range(n):
        length = word = 0
        while (length, word) not in words:
            length, word = length + 1, word << 1 | next(bits)
        found.append(words[length, word])
    return found


def rans(data: Bytes, n: int, alphabet: int) -> list[int]:
    if not n:
        return []
    bitmap = data.take((alphabet + 7) // 8)
    used = [s for s in range(alphabet) if bitmap[s // 8] >> s % 8 & 1]
    f = [data.varint() + 1 for _ in used[:-1]]
    f.append(16384 - sum(f))
    slots = [(s, w, i) for s, w in zip(used, f, strict=True) for i in range(w)]
    lanes = min(max(n // 2048, 1), 4096)
    x, found = data.numbers(lanes, 4), []
    for i in range(n):
        s, w, offset = slots[x[i % lanes] % 16384]
        found.append(s)
        x[i % lanes] = w * (x[i % lanes] >> 14) + offset
        if x[i % lanes] < 1 << 16:
            x[i % lanes] = x[i % lanes] << 16 | data.numbers(1, 2)[0]
    assert set(x) == {1 << 16}
    return found


# The layout by contexts


def squash(v: int) -> int:
    v = min(max(v, -2815), 2815)
    half = round(65536 / (1 + math.exp(-abs(v) / 256)))
    return half if v >= 0 else 65536 - half


STRETCH: list[int] = []


def stretch(p: int) -> int:
    if not STRETCH:
        v = -2815
        for q in range(65537):
            while squash(v) < q and v < 2815:
                v += 1
            STRETCH.append(v)
    return STRETCH[p]


def log(v: int) -> int:
    exponent = v.bit_length() - 1
    leading = v >> exponent - 8 if exponent >= 8 else v << 8 - exponent
    return round(65536 * math.log(leading / 256)) + exponent * 45426 >> 8


def root(i: int) -> int:
    return math.isqrt(65536 // (i + 1))


class Arithmetic:
    def __init__(self, data: bytes) -> None:
        self.data, self.low, self.high = iter(data), 0, 0xFFFFFFFF
        self.x = int.from_bytes(bytes(next(self.data, 0) for _ in range(4)), "big")

    def bit(self, p: int) -> int:
        middle = self.low + ((self.high - self.low) * p >> 16)
        bit = int(self.x <= middle)
        self.low, self.high = (self.low, middle) if bit else (middle + 1, self.high)
        while self.low >> 24 == self.high >> 24:
            self.low, self.high = self.low << 8 & 0xFFFFFFFF, self.high << 8 & 0xFFFFFFFF | 255
            self.x = self.x << 8 & 0xFFFFFFFF | next(self.data, 0)
        return bit


class Mixing:
    def __init__(self, *weights: int) -> None:
        self.w, self.g = list(weights), [50 << 24] * len(weights)

    def code(self, coder: Arithmetic, inputs: list[list[int]]) -> list[int]:
        p = [squash(sum(w * x for w, x in zip(self.w, xs, strict=True)) >> 16) for xs in inputs]
        bits = [coder.bit(q) for q in p]
        for i in range(len(self.w)):
            g = sum(xs[i] * ((b << 16) - q) for xs, b, q in zip(inputs, bits, p, strict=True)) >> 12
            self.g[i] += g * g
            self.w[i] += 5898 * g // math.isqrt(self.g[i])
        return bits


def phases(columns: int, width: int) -> Iterator[list[int]]:
    def phase(c: int) -> int:
        y, x = divmod(c, width)
        return [0, 4, 2, 6, 1, 5, 3, 7][x % 8] if columns == width else 2 * (2 * (y % 2) + (x + y) % 2) + (y // 2 + x // 2) % 2

    for i in range(8):
        yield [c for c in range(columns) if phase(c) == i]


def window(columns: int, width: int, c: int, radius: int) -> list[int]:
    y, x = divmod(c, width)
    lines = range(max(0, y - radius), min(columns // width, y + radius + 1))
    return [i * width + j for i in lines for j in range(max(0, x - radius), min(width, x + radius + 1))]


def context(data: Bytes, kept: int, rows: int, columns: int, size: int) -> list[int]:
    turned = rows > columns
    rows, columns = (columns, rows) if turned else (rows, columns)
    width, book = data.varint(), data.numbers(data.varint(), size)
    top = 8 * size - 1
    positives = sum(not v >> top for v in book)
    zeros, t = (0, (max(positives, len(book) - positives) - 1).bit_length()) if book else data.take(2)
    below = top - zeros - t
    plain = [] if book else fixed(data, kept, 1 << below)
    signed = not book or 0 < positives < len(book)
    entries = scan(Arithmetic(data.rest()), kept, rows, columns, width, t, signed)
    out, order = [0] * (rows * columns), iter(plain)
    for (r, c), (positive, m) in sorted(entries.items()):
        if book:
            v = book[m if positive or not signed else m + positives]
        else:
            v = ((1 - positive) << top) | ((m << below | next(order)) << zeros)
        out[c * rows + r if turned else r * columns + c] = v
    return out


def scan(
    coder: Arithmetic, kept: int, rows: int, columns: int, width: int, t: int, signed: bool
) -> dict[tuple[int, int], tuple[int, int]]:
    """The entries that are not zero: whether positive, and magnitude."""
    around = [[window(columns, width, c, r) for r in (1, 2, 4)] for c in range(columns)]
    order = list(phases(columns, width))
    position = Mixing(39322, 39322, 0, 19661, 13107, 6554, 0, 0, 13107, 13107)
    sign = Mixing(65536, 0, 13107, 13107, 6554, 6554)
    q, sigma, counts, found = [0] * columns, [0] * columns, {}, {}
    for r in range(rows):
        o = min(max((kept - sum(q) << 16) // ((rows - r) * columns), 1), 65472)
        own, prior = [], []
        for c in range(columns):
            a = [clamp((sum(q[i] for i in w) - q[c] + 1 << 16) // ((len(w) - 1) * r + 65536 // o)) for w in around[c]]
            own.append(clamp(((q[c] << 16) + 2 * a[0]) // (r + 2)))
            prior.append([*a, clamp((q[c] + 2 << 16) // (r + 131072 // a[2]))])
        d, e, s = [0] * columns, [0] * columns, [0] * columns
        for phase in order:
            sums = {c: [[sum(v[i] for i in w) for w in around[c]] for v in (d, e, s)] for c in phase}
            bits = [1] * len(phase)
            if kept < rows * columns and phase:
                row = log(sum(d) + 2 << 16) - log(sum(e) + 131072)
                inputs = []
                for c in phase:
                    windows = [log((n << 16) + 19661) - log(m + 19661) for n, m in zip(sums[c][0], sums[c][1], strict=True)]
                    inputs.append([stretch(own[c]), row, 77, *windows, *(stretch(p) - stretch(own[c]) for p in prior[c])])
                bits = position.code(coder, inputs)
                for c in phase:
                    e[c] = own[c]
            for c, bit in zip(phase, bits, strict=True):
                d[c] = bit
            here = [c for c, bit in zip(phase, bits, strict=True) if bit]
            positive = [1] * len(here)
            if here and signed:
                overall = stretch((sum(sigma) + sum(q) + 1 << 15) // (sum(q) + 1))
                row = sum(s) * root(sum(d))
                inputs = []
                for c in here:
                    windows = [v * root(n) for v, n in zip(sums[c][2], sums[c][0], strict=True)]
                    inputs.append([overall, row, *windows, sigma[c] * root(q[c])])
                positive = sign.code(coder, inputs)
            for c, up in zip(here, positive, strict=True):
                s[c] = 2 * up - 1
                m = 1
                for _ in range(t):
                    n = counts.setdefault((up, m), [0, 0])
                    bit = coder.bit(min(max((2 * n[1] + 1 << 16) // (2 * sum(n) + 2), 32), 65504))
                    n[bit] += 1
                    m = 2 * m + bit
                found[r, c] = (up, m - (1 << t))
        q, sigma = [a + b for a, b in zip(q, d, strict=True)], [a + b for a, b in zip(sigma, s, strict=True)]
    return found


def clamp(v: int) -> int:
    return min(max(v, 1), 65472)
