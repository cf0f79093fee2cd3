"""Data sets, each loaded into one value: a train, a validation and a test split, and how a batch is prepared.

Example:
    >>> from secateur.training.data import load_data
    >>> digits = load_data("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test)
    (1257, 180, 360)
"""

from ._data import Data, Normalise, Split, tokens
from ._find import cache_folder, find
from ._load import DATA_SETS, load_data
from .cifar10 import load_cifar10
from .digits import load_digits
from .fetch import fetch
from .mnist import load_mnist
from .text import load_text

__all__ = [
    "DATA_SETS",
    "Data",
    "Normalise",
    "Split",
    "cache_folder",
    "fetch",
    "find",
    "load_cifar10",
    "load_data",
    "load_digits",
    "load_mnist",
    "load_text",
    "tokens",
]
