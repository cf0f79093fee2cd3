"""A binary arithmetic coder: one bit at a time, each with its own probability, in 32-bit integers.

The interval [low, high] of 32 bits is split at low + ⌊(high − low)·p / 2¹⁶⌋, p the probability of a one in 1/65536; a one
takes the lower part. Bytes on which both ends agree are written and shifted out. The last interval is closed with the
fewest bytes that, followed by zeros, lie in it. Witten, Neal and Cleary 1987; this carry-less form is that of M. Mahoney's lpaq.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BitDecoder", "BitEncoder"]

_TOP, _ALL = 0xFF000000, 0xFFFFFFFF


class BitEncoder:
    """Bits to bytes.

    Example:
        >>> e = BitEncoder()
        >>> e.code([60000, 1000], [1, 0])
        [1, 0]
        >>> e.finish().hex()
        '04'
    """

    def __init__(self) -> None:
        self._low, self._high, self._out = 0, _ALL, bytearray()

    def code(self, p: Sequence[int], bits: Sequence[int], what: str = "value") -> Sequence[int]:
        """Append bits whose probabilities of being one are ``p`` / 65536, each in 1…65535; ``what`` they are does not matter."""
        low, high, out = self._low, self._high, self._out
        for q, bit in zip(p, bits, strict=True):
            middle = low + ((high - low) * q >> 16)
            if bit:
                high = middle
            else:
                low = middle + 1
            while not (low ^ high) & _TOP:
                out.append(high >> 24)
                low, high = low << 8 & _ALL, high << 8 & _ALL | 255
        self._low, self._high = low, high
        return bits

    def finish(self) -> bytes:
        """All bytes; trailing zeros are left out, since the decoder reads zeros beyond the end."""
        for n in range(5):
            keep = _ALL << (32 - 8 * n) & _ALL
            value = (self._low + ~keep % (1 << 32)) & keep if n < 4 else self._low
            if self._low <= value <= self._high:
                break
        return bytes(self._out + value.to_bytes(4, "big")).rstrip(b"\0")


class BitDecoder:
    """Bytes to bits: any bytes decode to something, at a cost that the caller's number of bits bounds.

    Example:
        >>> e = BitEncoder()
        >>> _ = e.code([9, 30000, 65535], [1, 0, 1])
        >>> BitDecoder(e.finish()).code([9, 30000, 65535], None)
        [1, 0, 1]
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = bytes(data)
        self._low, self._high, self._at = 0, _ALL, 4
        self._x = int.from_bytes(self._data[:4].ljust(4, b"\0"), "big")

    def code(self, p: Sequence[int], bits: Sequence[int] | None = None, what: str = "value") -> Sequence[int]:
        """The next bits, whose probabilities of being one are ``p`` / 65536."""
        low, high, x, at, data = self._low, self._high, self._x, self._at, self._data
        size, found = len(data), []
        for q in p:
            middle = low + ((high - low) * q >> 16)
            if x <= middle:
                high = middle
                found.append(1)
            else:
                low = middle + 1
                found.append(0)
            while not (low ^ high) & _TOP:
                low, high = low << 8 & _ALL, high << 8 & _ALL | 255
                x = x << 8 & _ALL | (data[at] if at < size else 0)
                at += 1
        self._low, self._high, self._x, self._at = low, high, x, at
        return found

    def finish(self) -> None:
        """All bytes were needed.

        Raises:
            ValueError: bytes are left over.
        """
        if len(self._data) > self._at:
            raise ValueError(f"{len(self._data) - self._at} bytes are left over")
