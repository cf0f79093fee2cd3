"""What can be said of a network: its figures by Blalock's definitions, its cost, and the report of many."""

from .energy import energy

__all__ = ["energy"]
