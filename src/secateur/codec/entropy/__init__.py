"""Ways to write symbols and bits: as they are, by Huffman's code, by asymmetric numeral systems, by contexts.

Sees numbers, never a tensor.
"""

from . import fixed, huffman, rans

__all__ = ["CODERS", "fixed", "huffman", "rans"]

CODERS = {"none": fixed, "huffman": huffman, "rans": rans}
