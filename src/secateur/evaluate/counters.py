"""What the machine counts of its own energy: RAPL for the processor, NVML for an NVIDIA accelerator."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch

__all__ = ["Counter", "Nvml", "Rapl", "find_counter"]

POWERCAP = Path("/sys/class/powercap")


class Counter(Protocol):
    """Joules since the counter was made; ``how`` says who counted."""

    how: str

    def read(self) -> float:
        """Joules so far."""


class Rapl:
    """The processor packages' counters, their memory's where it has its own: Intel, and AMD under the same driver.

    They count the whole package: other processes and idle power as well. A counter starts again from 0 after about an hour
    under load, so ``read`` must be called more often than that.

    Args:
        root: folder of the power zones.

    Raises:
        OSError: there are none, or reading them is reserved to the administrator.
    """

    how = "measured: rapl"

    def __init__(self, root: Path = POWERCAP) -> None:
        self.zones = [z for z in sorted(root.glob("intel-rapl:*")) if z.name.count(":") == 1 or _name(z) == "dram"]
        if not self.zones:
            raise FileNotFoundError(f"no power zones under {root}")
        self.last = [_number(z / "energy_uj") for z in self.zones]
        self.range = [_number(z / "max_energy_range_uj") for z in self.zones]
        self.microjoules = 0

    def read(self) -> float:
        """Joules so far."""
        now = [_number(z / "energy_uj") for z in self.zones]
        for new, old, most in zip(now, self.last, self.range, strict=True):
            self.microjoules += new - old if new >= old else new + most - old
        self.last = now
        return self.microjoules / 1e6


class Nvml:
    """The board energy of the accelerator in use, from nvidia-ml-py where it is installed.

    Raises:
        Exception: whatever the driver has against it.
    """

    how = "measured: nvml"

    def __init__(self) -> None:
        self.nvml: Any = importlib.import_module("pynvml")
        self.nvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        self.board = self.nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
        self.began: int = self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.board)

    def read(self) -> float:
        """Joules so far."""
        return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.board) - self.began) / 1e3


def find_counter(device: torch.device | str = "cpu") -> Counter | None:
    """A counter for a device, just started, or None where this machine has none that may be read.

    Example:
        >>> found = find_counter()
        >>> found is None or found.how == "measured: rapl"
        True
    """
    with suppress(Exception):  # a missing package, driver or right: all mean that nothing is measured
        return Nvml() if torch.device(device).type == "cuda" else Rapl()
    return None


def _name(zone: Path) -> str:
    return (zone / "name").read_text(encoding="ascii").strip()


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
