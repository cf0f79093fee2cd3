"""What all tests share: one seed, and properties that try the same examples each time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "secateur", deadline=None, derandomize=True, database=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("secateur")


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # thousands of collected tests are no garbage, and a collector that walks them again and again takes its time


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
