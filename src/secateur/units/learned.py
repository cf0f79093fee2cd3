"""The life of a learned score: beside the weights from the pruner's making to the schedule's last event, and then gone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..core.errors import DataError, ModelError
from ..core.layers import Layer
from ..score.learned import Learned
from .base import Choice, Units
from .parts import Parts

__all__ = ["Life"]


class Life:
    """What a pruner does with the tensors of a learned score; of other scores there are none, and nothing happens.

    Args:
        units: what is pruned.
    """

    def __init__(self, units: Units) -> None:
        score = units.recipe.score
        self._units = units
        self._score = score if isinstance(score, Learned) else None
        self._parts = None if self._score is None else Parts(units, self._score)
        self._optimizers: list[torch.optim.Optimizer] = []
        self._sync: Any = None
        self._costs = False
        if self._parts is not None:
            self._parts.hook()

    @property
    def on(self) -> bool:
        """Whether the score is being learned."""
        return self._parts is not None

    @property
    def over(self) -> bool:
        """Whether it was, and has finished."""
        return self._score is not None and self._parts is None

    @property
    def tensors(self) -> dict[str, torch.nn.Parameter]:
        """What is learned, by target or weight."""
        return {} if self._parts is None else self._parts.tensors

    # ---------------------------------------------------------------- training

    def join(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimizer train the tensors, in a group of their own without weight decay.

        Raises:
            ModelError: a learning-rate scheduler has counted its groups already.
        """
        if self._score is None:
            return
        if self._sync is not None:
            self._sync.remove()
        self._sync = optimizer.register_step_pre_hook(self._average)
        tensors, known = list(self.tensors.values()), {id(p) for g in optimizer.param_groups for p in g["params"]}
        joined = any(o is optimizer for o in self._optimizers)
        if not joined:
            self._optimizers.append(optimizer)
        if joined or (tensors and all(id(t) in known for t in tensors)):  # or you did it by hand
            return
        if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
            if not tensors:
                return
            raise ModelError(
                f"score {self._score.name!r} trains tensors of its own, and the optimizer has a learning-rate scheduler that "
                "does not know them; call pruner.watch(optimizer) before you make the scheduler"
            )
        rate = {} if self._score.learning_rate is None else {"lr": self._score.learning_rate}
        optimizer.add_param_group({"params": tensors, "weight_decay": 0.0, **rate})

    def _average(self, *_: Any) -> None:
        """The mean of the gradients over all ranks: the tensors are in no data-parallel wrapper."""
        if self.on and torch.distributed.is_available() and torch.distributed.is_initialized():
            for tensor in self.tensors.values():
                if tensor.grad is None:
                    tensor.grad = torch.zeros_like(tensor)
                torch.distributed.all_reduce(tensor.grad)
                tensor.grad.div_(torch.distributed.get_world_size())

    def penalty(self, t: int) -> Tensor | float:
        """What is added to the loss at step t."""
        if self._parts is None:
            return 0.0
        self._parts.t, self._costs = t, True
        cost = self._parts.cost()
        return 0.0 if cost is None else cost

    def step(self, t: int) -> None:
        """After an optimizer step."""
        if self._parts is not None:
            self._parts.step(t)

    # ---------------------------------------------------------------- events

    @contextmanager
    def bare(self) -> Iterator[None]:
        """The model without hooks, inside."""
        if self._parts is not None:
            self._parts.unhook()
        try:
            yield
        finally:
            if self._parts is not None:
                self._parts.hook()

    def reopen(self, sparsity: float) -> None:
        """Let all units compete again: until the last event none is gone for good.

        Raises:
            DataError: nothing was learned yet.
        """
        if self._parts is None:
            return
        if sparsity > 0 and self._parts.untaught():
            raise DataError(
                f"score {self._parts.score.name!r} is learned while training, and its tensors are as they were at first; give "
                "them to the optimizer with Pruner(model, recipe, optimizer=...), pruner.watch(optimizer) or "
                "pruner.parameters(), and call pruner.step() after optimizer.step()"
            )
        if sparsity > 0 and not self._costs and self._parts.cost() is not None:
            what = f"what score {self._parts.score.name!r} penalises was never asked for"
            warnings.warn(f"{what}: add pruner.penalty() to the loss", stacklevel=4)
        self._units.reset()

    def layers(self, event: int) -> list[Layer] | None:
        """The layers or groups with what was learned of their units; None for another score.

        Raises:
            ModelError: it is gone.
        """
        if self.over:
            raise ModelError(
                f"score {self._units.recipe.score.name!r} has finished, and what it learned is gone; make a new Pruner"
            )
        parts = self._parts
        return None if parts is None else self._units.layers(lambda name: parts.pool(name, event))

    def settle(self, keep: Choice, last: bool) -> bool:
        """Open the gates of what was kept; with the last event, fold them into the weights and drop the tensors.

        Returns:
            Whether the masks are for good.
        """
        if self._parts is not None:
            self._parts.choose(keep, self._units.masks)
            if last:
                self._parts.fold()
                self.drop()
        return self._parts is None

    def drop(self) -> None:
        """Leave the plain model: no hooks, no tensors, nothing of them in an optimizer."""
        if self._parts is None:
            return
        self._parts.unhook()
        mine = {id(t) for t in self.tensors.values()}
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:  # an empty group stays, which schedulers have counted
                group["params"] = [p for p in group["params"] if id(p) not in mine]
            for tensor in self.tensors.values():
                optimizer.state.pop(tensor, None)
        for tensor in self.tensors.values():
            tensor.grad = None
        self._parts = None

    def restart(self) -> None:
        """Begin anew, as the weights do."""
        if self._parts is not None:
            with torch.no_grad():
                for name, first in self._parts.first().items():
                    self.tensors[name].copy_(first)

    # ---------------------------------------------------------------- keeping it

    def state_dict(self) -> dict[str, Any] | None:
        """The tensors and the gates that an event shut; None for a score that learns nothing."""
        if self._score is None:
            return None
        kept = {} if self._parts is None else self._parts.kept
        tensors = {n: t.detach().clone() for n, t in self.tensors.items()}
        return {"on": self.on, "tensors": tensors, "kept": {n: k.clone() for n, k in kept.items()}}

    def load_state_dict(self, state: Mapping[str, Any] | None, t: int) -> None:
        """Go on from there, at step t.

        Raises:
            ModelError: the state is of another model, or this score has finished and that one has not.
        """
        if self._score is None:
            return None
        if state is None:
            raise ModelError(f"this state lacks what score {self._score.name!r} learned; pass what pruner.state_dict() gave")
        if not state["on"]:
            return self.drop()
        if self._parts is None:
            raise ModelError("this state is of a score that is still learned, and this pruner's has finished; make a new Pruner")
        given, ours = ({n: list(x.shape) for n, x in found.items()} for found in (state["tensors"], self.tensors))
        if given != ours:
            raise ModelError(f"this state is of another model: it learned {given}; this pruner learns {ours}")
        self._parts.step(t)
        with torch.no_grad():
            for name, tensor in state["tensors"].items():
                self.tensors[name].copy_(tensor)
        self._parts.kept = {n: k.to(self.tensors[n].device) for n, k in state["kept"].items()}
        return None
