"""Pruned models in other people's libraries."""
