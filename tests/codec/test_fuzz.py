"""The fuzzer of benchmarks/experiments, for some seconds."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def fuzzer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("codec_fuzz", ROOT / "benchmarks" / "experiments" / "codec_fuzz.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def test_damaged_and_hostile_files() -> None:
    module = fuzzer()
    found = module.fuzz(1200, seed=1)
    assert sum(found["outcomes"].values()) == 1200
    assert found["outcomes"]["accident: refused"] > 300
    assert found["outcomes"]["attack: refused"] > 100
    assert found["slowest seconds"] < module.SECONDS
    assert found["megabytes"] < module.MEGABYTES


def test_the_long_run_is_committed() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "codec-fuzz.json").read_text())
    assert found["figures"]["files"] >= 100_000
    assert all(found["holds"].values())
