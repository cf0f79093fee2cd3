"""Ways to write symbols and bits: as they are, by Huffman's code, by asymmetric numeral systems, by contexts.

Sees numbers, never a tensor.
"""

from . import fixed, huffman, rans
from .counting import counted

__all__ = ["CODERS", "counted", "fixed", "huffman", "rans"]

CODERS = {"none": fixed, "huffman": huffman, "rans": rans}
