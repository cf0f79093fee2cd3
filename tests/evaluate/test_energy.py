"""Joules: literal values worked out by hand, and counters read from a made-up folder of power zones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from secateur.core.errors import ModelError
from secateur.evaluate import energy
from secateur.evaluate.counters import Rapl, find_counter
from secateur.evaluate.energy import Prices, measured, modelled, stored_words, training_energy
from secateur.evaluate.macs import count_macs
from secateur.evaluate.measure import measure
from secateur.evaluate.memory import PeakMemory

PICO = 1e-12


def test_a_linear_layer_by_hand() -> None:
    """4 × 3 weights, 5 of them zero: 7 multiply-adds of 4.6 pJ and two SRAM words of 5 pJ each.

    Stored sparse the weights take 7 · 1.5 = 10.5 words, less than 12; with 4 + 3 activations 17.5 words of 640 pJ.
    """
    layer = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight.view(-1)[:5] = 0
    found = energy(layer, torch.zeros(1, 4), modelled_only=True)
    assert found.how == "modelled: Horowitz 2014"
    assert found.arithmetic == pytest.approx(7 * 4.6 * PICO)
    assert found.sram == pytest.approx(7 * 10 * PICO)
    assert found.dram == pytest.approx(17.5 * 640 * PICO)
    assert found.joules == pytest.approx((7 * 14.6 + 17.5 * 640) * PICO)


def test_a_convolution_by_hand() -> None:
    """2 → 3 channels, 3 × 3, on 5 × 5 without padding: 54 weights at 9 places; 50 activations in, 27 out; 3 biases."""
    found = energy(nn.Conv2d(2, 3, 3), torch.zeros(1, 2, 5, 5), modelled_only=True)
    assert found.joules == pytest.approx((54 * 9 * 14.6 + (54 + 3 + 50 + 27) * 640) * PICO)


def test_a_batch_shares_the_reading_of_the_parameters() -> None:
    layer = nn.Linear(4, 3, bias=False)
    one, ten = (energy(layer, torch.zeros(n, 4), modelled_only=True).joules for n in (1, 10))
    assert one - ten == pytest.approx(12 * 0.9 * 640 * PICO)


def test_sparse_storage_is_used_where_it_is_smaller() -> None:
    assert stored_words([(100, 66)]) == 99  # 66 · 1.5
    assert stored_words([(100, 67)]) == 100
    assert stored_words([(100, 0)]) == 0
    assert stored_words([(100, 50)], index_bits=0) == 50


def test_prices_are_those_of_the_paper() -> None:
    assert Prices() == Prices(multiply=3.7, add=0.9, sram=5.0, dram=640.0)
    assert modelled(1, 0, 0, prices=Prices(1.0, 2.0, 3.0, 4.0)).joules == pytest.approx(9 * PICO)


def test_training_is_three_dense_passes_an_example() -> None:
    one = modelled(266_200, 266_610, 2_094, batch=64).joules
    assert training_energy(266_200, 266_610, 2_094, steps=10, batch=64) == pytest.approx(10 * 64 * 3 * one)


def test_activations_are_counted_once_in_and_once_out() -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    assert count_macs(net, torch.zeros(16, 8)).values == 8 + 4 + 4 + 2


def test_pruning_more_never_costs_more() -> None:
    net, x, before = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)), torch.zeros(1, 16), float("inf")
    for left in (256, 170, 100, 10, 0):
        with torch.no_grad():
            net[0].weight.view(-1)[left:] = 0
        now = energy(net, x, modelled_only=True).joules
        assert now <= before
        before = now


def test_measure_says_it_too() -> None:
    net, x = nn.Linear(8, 4), torch.zeros(1, 8)
    found = measure(net, x, latency=False)
    assert found.energy == energy(net, x, modelled_only=True)
    assert "an inference, modelled: Horowitz 2014" in str(found).replace("\n", " ")
    assert found.to_dict()["energy"]["how"] == "modelled: Horowitz 2014"


# ---------------------------------------------------------------- counters


def zones(root: Path, **joules: int) -> Path:
    """Power zones as Linux shows them: two packages, a core inside the first that must not count twice, and memory."""
    kinds = {"intel-rapl:0": "package-0", "intel-rapl:1": "package-1", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram"}
    for name, kind in kinds.items():
        (root / name).mkdir(exist_ok=True)
        (root / name / "name").write_text(kind + "\n")
        (root / name / "energy_uj").write_text(f"{joules.get(kind.replace('-', ''), 0)}\n")
        (root / name / "max_energy_range_uj").write_text("1000000\n")
    return root


def test_rapl_adds_packages_and_memory_and_survives_the_wrap(tmp_path: Path) -> None:
    counter = Rapl(zones(tmp_path, package0=900_000, core=1))
    assert (counter.how, counter.read()) == ("measured: rapl", 0.0)
    zones(tmp_path, package0=950_000, package1=20_000, dram=5_000, core=77)
    assert counter.read() == pytest.approx(0.075)
    zones(tmp_path, package0=10_000, package1=20_000, dram=5_000)
    assert counter.read() == pytest.approx(0.075 + 0.06)


def test_a_machine_without_counters_measures_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no power zones"):
        Rapl(tmp_path)
    if not list(Path("/sys/class/powercap").glob("intel-rapl:*")):
        assert find_counter() is None


class Steady:
    how = "measured: rapl"

    def __init__(self, step: float) -> None:
        self.step, self.joules = step, 0.0

    def read(self) -> float:
        self.joules += self.step
        return self.joules


def test_measured_energy_is_per_example_and_modes_come_back() -> None:
    calls = 0

    class Counted(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += 1
            assert not self.training
            return super().forward(x)

    net = Counted(4, 2)
    joules = measured(net, torch.zeros(8, 4), Steady(2.0), seconds=0.01)
    assert joules == pytest.approx(2.0 / ((calls - 1) * 8))  # the first call warms up
    assert net.training
    with pytest.raises(ModelError, match=r"counter .* did not move"):
        measured(net, torch.zeros(8, 4), Steady(0.0), seconds=0.01)


def test_peak_memory_sees_what_was_freed_again() -> None:
    mark = PeakMemory()
    before = mark.read()
    block = torch.ones(25_000_000)
    del block
    after = mark.read()
    assert before is not None
    assert after is not None
    assert after.bytes >= before.bytes + (50_000_000 if mark.reset else 0)
    assert after.how.startswith(("process, resident set", "accelerator"))
