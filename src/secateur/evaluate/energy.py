"""Joules of an inference: read from the machine's counters, or counted by a published price per operation."""

from __future__ import annotations

import dataclasses as dc
import time
from collections.abc import Iterable

import torch
from torch import nn

from ..core.errors import ModelError
from ..graph.trace import ExampleInputs, batch_size, call, unwrap
from .counters import Counter, find_counter
from .macs import count_macs

__all__ = ["MODELLED", "Energy", "Prices", "energy", "modelled", "stored_words", "training_energy"]

MODELLED = "modelled: Horowitz 2014"
INDEX_BITS = 16


@dc.dataclass(frozen=True)
class Prices:
    """Picojoules of an operation on 32 bits, in a 45 nm process at 0.9 V.

    Args:
        multiply: float multiply.
        add: float add.
        sram: a word from an 8 KB SRAM (half of the 10 pJ of a 64-bit access).
        dram: a word from DRAM (half of the 1.3 nJ of a 64-bit access, in the rounding of Han et al. 2015, table 1).

    Reference:
        Horowitz 2014, Computing's energy problem (and what we can do about it), ISSCC, figure 1.1.9.
    """

    multiply: float = 3.7
    add: float = 0.9
    sram: float = 5.0
    dram: float = 640.0


@dc.dataclass(frozen=True)
class Energy:
    """Joules of one inference of one example.

    Args:
        joules: all of it.
        how: ``"measured: rapl"``, ``"measured: nvml"`` or ``"modelled: Horowitz 2014"``.
        arithmetic: multiplying and adding; None when measured.
        sram: operands from the nearest memory; None when measured.
        dram: parameters, indices and activations from main memory; None when measured.
    """

    joules: float
    how: str
    arithmetic: float | None = None
    sram: float | None = None
    dram: float | None = None


def modelled(macs: int, words: float, values: int, *, batch: int = 1, prices: Prices | None = None) -> Energy:
    """Energy of one inference from its counts.

    ::

        E = macs · (multiply + add) + 2 · macs · sram + (words / batch + values) · dram

    A multiply-add takes both operands from a small SRAM and keeps its sum in a register; each stored word of the parameters
    comes from DRAM once a batch; each value that enters or leaves a contraction crosses to DRAM once. Multiply-adds with a
    zero weight cost nothing; control, instructions and leakage are not in it.

    Args:
        macs: multiply-adds of one example that meet a non-zero weight.
        words: 32-bit words the parameters are stored in, see ``stored_words``.
        values: activations of one example that enter or leave a contraction.
        batch: examples that share one reading of the parameters.
        prices: picojoules per operation.

    Example:
        >>> modelled(1000, 100, 10).joules  # 1000 · 4.6 + 1000 · 10 + 110 · 640 pJ
        8.5e-08
    """
    p = prices or Prices()
    arithmetic, sram, dram = macs * (p.multiply + p.add), 2 * macs * p.sram, (words / batch + values) * p.dram
    return Energy(
        round(arithmetic + sram + dram, 3) / 1e12, MODELLED, arithmetic=arithmetic / 1e12, sram=sram / 1e12, dram=dram / 1e12
    )


def stored_words(tensors: Iterable[tuple[int, int]], index_bits: int = INDEX_BITS) -> float:
    """Words of 32 bits that parameters take: each tensor dense, or its non-zeros with an index each, whichever is less.

    Args:
        tensors: entries and non-zero entries of each.
        index_bits: bits to say where a non-zero is.

    Example:
        >>> stored_words([(100, 100), (100, 10)])
        115.0
    """
    return sum(min(float(total), nonzero * (1 + index_bits / 32)) for total, nonzero in tensors)


def training_energy(macs: int, parameters: int, values: int, *, steps: int, batch: int) -> float:
    """Joules of a training by the same prices: three dense passes an example (forward, and the two gradients of backward).

    Training computes densely also where weights are masked; the optimizer's own work is not in it.

    Args:
        macs: multiply-adds of the dense network for one example.
        parameters: of the dense network.
        values: activations of one example that enter or leave a contraction.
        steps: optimizer steps.
        batch: examples a step.

    Example:
        >>> training_energy(1000, 100, 10, steps=2, batch=10)  # 2 · 10 · 3 · (14 600 + 20 · 640) pJ
        1.644e-06
    """
    return round(steps * batch * 3 * modelled(macs, parameters, values, batch=batch).joules * 1e12, 3) / 1e12


def energy(model: nn.Module, example_inputs: ExampleInputs, *, modelled_only: bool = False, seconds: float = 0.5) -> Energy:
    """Joules of one inference of one example: measured where the machine has a counter, otherwise modelled.

    A counter is of the whole processor package or board, idle power and other processes included.

    Args:
        model: any module, with its inputs on its device.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        modelled_only: do not measure, so that figures of different machines compare.
        seconds: how long it is run to be measured.

    Raises:
        ModelError: nothing can be measured and the model cannot be traced.

    Example:
        >>> e = energy(nn.Linear(8, 4, bias=False), torch.zeros(1, 8), modelled_only=True)
        >>> e.how, e.joules  # 32 multiply-adds, 32 words, 8 + 4 values
        ('modelled: Horowitz 2014', 2.86272e-08)

    Reference:
        Horowitz 2014, Computing's energy problem (and what we can do about it), ISSCC.
    """
    tensor = next(iter([*model.parameters(), *model.buffers()]), None)
    counter = None if modelled_only else find_counter("cpu" if tensor is None else tensor.device)
    if counter is not None:
        return Energy(measured(model, example_inputs, counter, seconds=seconds), counter.how)
    found = count_macs(model, example_inputs, warn=False)
    sizes = [(p.numel(), int(torch.count_nonzero(p.detach()))) for p in unwrap(model).parameters()]
    return modelled(found.effective, stored_words(sizes), found.values, batch=found.batch)


@torch.inference_mode()
def measured(model: nn.Module, example_inputs: ExampleInputs, counter: Counter, *, seconds: float = 0.5) -> float:
    """Joules of one example by a counter, the model run over and over.

    Args:
        model: the network; its modes are put back.
        example_inputs: what it is run on.
        counter: just started or not, its differences count.
        seconds: how long.

    Raises:
        ModelError: the counter did not move.
    """
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        call(model, example_inputs)
        calls, began, before = 0, time.perf_counter(), counter.read()
        while time.perf_counter() - began < seconds or not calls:
            call(model, example_inputs)
            calls += 1
        if counter.how == "measured: nvml":
            torch.cuda.synchronize()
        joules = counter.read() - before
    finally:
        for module, training in modes.items():
            module.training = training
    if joules <= 0:
        raise ModelError(f"the energy counter ({counter.how}) did not move in {seconds:g} s; give it more seconds")
    return joules / (calls * batch_size(example_inputs))
