"""What learned scores cost against magnitude: milliseconds a training step, and bytes beside the model.

python benchmarks/experiments/learned_overhead.py          # writes benchmarks/results/learned-overhead.json
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from common import write
from torch import nn

import secateur as sc
from secateur.schedule import OneShot
from secateur.score import HardConcrete, Magnitude, Movement, SoftMovement, VariationalDropout
from secateur.structure import Filters, Weights
from secateur.training.models import build_model

STEPS, WARM, N = 12, 2, 50_000
NETS = {"lenet_300_100": (100, (1, 28, 28)), "resnet_20": (32, (3, 32, 32))}
LATE = OneShot(sparsity=0.9, at_training_step=10**9)


def recipes() -> dict[str, sc.Recipe]:
    """Every score while it learns; magnitude prunes at the first step and keeps its masks."""
    learned = {
        "variational_dropout": VariationalDropout(examples=N),
        "hard_concrete": HardConcrete(examples=N),
        "movement": Movement(),
        "soft_movement": SoftMovement(ramp=1),
    }
    found = {n: sc.Recipe(structure=Weights(), score=s, schedule=LATE) for n, s in learned.items()}
    units = sc.Recipe(structure=Filters(), score=HardConcrete(examples=N), schedule=LATE)
    return {"magnitude": sc.Recipe(score=Magnitude(), schedule=OneShot(sparsity=0.9)), **found, "hard_concrete of units": units}


class Training:
    """One network under training."""

    def __init__(self, net: str, recipe: sc.Recipe | None) -> None:
        batch, shape = NETS[net]
        torch.manual_seed(0)
        self.x, self.y = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
        self.model = build_model(net)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.pruner = None
        if recipe is not None:
            example = self.x[:2] if recipe.structure.couples else None
            self.pruner = sc.Pruner(self.model, recipe, optimizer=self.optimizer, example_inputs=example)
        self.times: list[float] = []
        self.saved = 0

    def step(self) -> None:
        start = time.perf_counter()
        self.optimizer.zero_grad()
        penalty: Any = 0.0 if self.pruner is None else self.pruner.penalty()
        if not self.saved:
            with Saved(self.model) as saved:
                loss = nn.functional.cross_entropy(self.model(self.x), self.y) + penalty
            self.saved = saved.bytes
        else:
            loss = nn.functional.cross_entropy(self.model(self.x), self.y) + penalty
        loss.backward()
        self.optimizer.step()
        if self.pruner is not None:
            self.pruner.step()
        self.times.append(time.perf_counter() - start)

    def figures(self) -> dict[str, float]:
        state = [t for s in self.optimizer.state.values() for t in s.values() if isinstance(t, torch.Tensor)]
        beside = [] if self.pruner is None else [*self.pruner.parameters(), *self.pruner.masks.values()]
        return {
            "step_ms": 1e3 * statistics.median(self.times[WARM:]),
            "model_bytes": _bytes(self.model.parameters()),
            "learned_and_masks_bytes": _bytes(beside),
            "optimizer_bytes": _bytes(state),
            "saved_for_backward_bytes": self.saved,
        }


class Saved:
    """Counts what a forward pass keeps for the backward pass, each storage once, but for the model's own."""

    def __init__(self, model: nn.Module) -> None:
        self.own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.seen: dict[int, int] = {}
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda t: t)

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.own:
            self.seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self.seen.values())

    def __enter__(self) -> Saved:
        self.hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.hooks.__exit__(*error)


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def main() -> None:
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for net in NETS:
        trainings = {"dense": Training(net, None), **{n: Training(net, r) for n, r in recipes().items()}}
        for _ in range(STEPS + WARM):  # in turns, so that what else the machine does meets all alike
            for training in trainings.values():
                training.step()
        figures[net] = {n: t.figures() for n, t in trainings.items()}
        base = figures[net]["magnitude"]["step_ms"]
        for found in figures[net].values():
            found["step_over_magnitude"] = found["step_ms"] / base
    ratios = {n: figures["resnet_20"][n]["step_over_magnitude"] for n in recipes()}
    settings = {"nets": {n: {"batch": b} for n, (b, _) in NETS.items()}, "steps": STEPS, "optimizer": "adam", "threads": 1}
    checks = {
        "variational dropout takes at most 3 times a magnitude step on ResNet-20": ratios["variational_dropout"] <= 3,
        "the others take at most 1.5 times": all(r <= 1.5 for n, r in ratios.items() if n != "variational_dropout"),
        "each weight's number, and its two moments of Adam, are the memory beside the model": all(
            f[n]["learned_and_masks_bytes"] <= 1.3 * f["dense"]["model_bytes"] for f in figures.values() for n in recipes()
        ),
    }
    write(
        "learned-overhead",
        "while it learns, variational dropout takes 2 to 3 times the step of magnitude pruning; on a convolutional network gates "
        "and masks take at most 1.5 times",
        settings,
        figures,
        checks,
        ["step_ms is a median over steps taken in turns; saved_for_backward_bytes is what one forward pass keeps, weights aside"],
    )


if __name__ == "__main__":
    main()
