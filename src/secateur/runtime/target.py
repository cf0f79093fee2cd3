"""The CPU that kernels are written for: vector width, registers, the names LLVM knows it by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ..core.errors import ModelError, require

__all__ = ["TARGETS", "Target", "host"]


@dataclass(frozen=True)
class Target:
    """A kind of CPU.

    Attributes:
        name: ``"avx512"``, ``"avx2"`` or ``"neon"``.
        width: float32 lanes of a vector.
        registers: vector registers.
        triple: as LLVM names the platform.
        cpu: as LLVM names the processor.
        features: of the processor, as LLVM lists them.
        pause: the instruction of a waiting loop, as IR.
    """

    name: str
    width: int
    registers: int
    triple: str
    cpu: str
    features: str
    pause: str


_PAUSE = {"x86": "call void @llvm.x86.sse2.pause()", "arm": "call void @llvm.aarch64.hint(i32 1)"}

TARGETS = {
    "avx512": Target("avx512", 16, 32, "x86_64-unknown-linux-gnu", "skylake-avx512", "-prefer-256-bit", _PAUSE["x86"]),
    "avx2": Target("avx2", 8, 16, "x86_64-unknown-linux-gnu", "haswell", "", _PAUSE["x86"]),
    "neon": Target("neon", 4, 32, "aarch64-unknown-linux-gnu", "neoverse-n1", "", _PAUSE["arm"]),
}


@cache
def host(name: str | None = None) -> Target:
    """The target of this machine.

    Args:
        name: a narrower one that it can run too, e.g. ``"avx2"`` on a machine with AVX-512; by default its widest.

    Raises:
        ModelError: the machine has no such vectors.
        DependencyError: llvmlite is not installed.
    """
    llvm: Any = require("llvmlite.binding", "cpu")
    triple, cpu, features = llvm.get_process_triple(), llvm.get_host_cpu_name(), dict(llvm.get_host_cpu_features())
    able = [n for n, needs in _NEEDS.items() if triple.startswith(_FAMILY[n]) and all(features.get(f) for f in needs)]
    wanted = name or (able[0] if able else None)
    if wanted not in able:
        raise ModelError(f"this machine ({cpu}) cannot run {wanted or 'any'} kernels; it can run: {', '.join(able) or 'none'}")
    base = TARGETS[wanted]
    listed = ",".join(
        f"{'+' if on and not (wanted == 'avx2' and f.startswith('avx512')) else '-'}{f}" for f, on in features.items()
    )
    return Target(base.name, base.width, base.registers, triple, cpu, f"{listed},-prefer-256-bit", base.pause)


_NEEDS = {"avx512": ("avx512f", "avx512vl", "avx512dq"), "avx2": ("avx2", "fma"), "neon": ("neon",)}  # the widest first
_FAMILY = {"avx512": "x86_64", "avx2": "x86_64", "neon": ("aarch64", "arm64")}
