"""Bytes in and out: small unsigned numbers as varints, and a reader that never runs past the end."""

from __future__ import annotations

__all__ = ["Reader", "varint"]


def varint(value: int) -> bytes:
    """An unsigned integer in 7-bit groups, the lowest first, the top bit set on all but the last (LEB128).

    Example:
        >>> varint(300).hex()
        'ac02'
    """
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """A cursor over bytes; every read is checked against what is left.

    Example:
        >>> r = Reader(bytes.fromhex("ac02616263"))
        >>> r.varint(), bytes(r.take(2)), r.left
        (300, b'ab', 1)
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data, self._at = memoryview(data), 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def take(self, n: int) -> memoryview:
        """The next ``n`` bytes.

        Raises:
            ValueError: fewer are left.
        """
        if n > self.left:
            raise ValueError(f"{n} bytes are declared and {self.left} are left")
        self._at += n
        return self._data[self._at - n : self._at]

    def rest(self) -> memoryview:
        """All bytes that are left."""
        return self.take(self.left)

    def byte(self) -> int:
        """The next byte.

        Raises:
            ValueError: none is left.
        """
        return self.take(1)[0]

    def varint(self, limit: int = 1 << 62) -> int:
        """The next varint.

        Raises:
            ValueError: it is cut off, longer than it needs to be, or above ``limit``.
        """
        value = shift = 0
        while True:
            b = self.byte()
            value |= (b & 127) << shift
            if b < 128:
                break
            shift += 7
            if shift > 63:
                raise ValueError("a number has too many bytes")
        if value > limit or (b == 0 and shift):
            raise ValueError(f"the number {value} is above {limit} or not in its shortest form")
        return value

    def end(self) -> None:
        """Nothing is left.

        Raises:
            ValueError: something is.
        """
        if self.left:
            raise ValueError(f"{self.left} bytes are left over")
