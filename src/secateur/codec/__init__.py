"""The file: a pruned model as one small, safe, valid safetensors file.

Sees tensors, modules and masks, never an axis.
"""

from .compress import compress
from .expand import compress_file, expand
from .opened import Row
from .read import inspect_file, load, read_metadata, read_shape
from .write import file_size, save

__all__ = [
    "Row",
    "compress",
    "compress_file",
    "expand",
    "file_size",
    "inspect_file",
    "load",
    "read_metadata",
    "read_shape",
    "save",
]
