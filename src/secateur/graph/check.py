"""Whether a unit is as coupled as its group says, tried out on numbers."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from .groups import Group, Member
from .trace import ExampleInputs, split_inputs

__all__ = ["Oracle", "Trial"]


@dc.dataclass(frozen=True)
class Trial:
    """What happened when one unit was zeroed.

    Args:
        error: the smaller of ``alone`` and of the change when what makes and carries the unit gets random numbers
            instead: zeros on one side cut it off. Must be 0.
        alone: relative change of the output when, of the zeroed unit, what takes it in gets random numbers. It is 0
            unless the group ``leaks``.
        sensitivity: relative change of the output when the unit was zeroed; 0 says that the trial proves nothing.
        missed: places outside the unit, ``(parameter, dim, index)``, which no longer matter to the output.
    """

    error: float
    alone: float
    sensitivity: float
    missed: tuple[tuple[str, int, int], ...]


class Oracle:
    """Tries units of a model in double precision; the model itself is left alone.

    Args:
        model: a module small enough to run a few times, in evaluation mode. It is converted to double precision.
        example_inputs: as for :func:`secateur.graph.groups.find_groups`.
        seed: of the random numbers.

    Example:
        >>> from secateur.graph.groups import find_groups
        >>> mlp = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> group = find_groups(mlp, torch.zeros(1, 4))["0"]
        >>> trial = Oracle(mlp, torch.randn(3, 4)).zero_equals_cut(group, unit=5)
        >>> trial.error, trial.sensitivity > 0, trial.missed
        (0.0, True, ())
    """

    def __init__(self, model: nn.Module, example_inputs: ExampleInputs, seed: int = 0) -> None:
        self._model = model.double().eval()
        self._random = torch.Generator().manual_seed(seed)
        double = lambda x: x.double() if isinstance(x, Tensor) and x.is_floating_point() else x  # noqa: E731
        self._inputs = pytree.tree_map(double, split_inputs(example_inputs))
        self._state = {n: t.detach().clone() for n, t in [*model.named_parameters(), *model.named_buffers()]}
        self._output = self._run(self._state)
        self._direction = self._normal(self._output)
        self._before = self._alive(self._state)

    def zero_equals_cut(self, group: Group, unit: int) -> Trial:
        """Zero a unit: then it is cut off from the output, and nothing else is."""
        zeroed = self._zeroed(self._state, group, unit)
        cut = self._run(zeroed)
        alone, other = (self._changed(zeroed, group, unit, cut, side) for side in (True, False))
        missed = set(self._missed(group, unit, self._state, self._before))
        for _ in range(4):  # a ReLU may have died by chance: whoever is cut off is so with other numbers too
            if missed:
                state = {
                    n: t + self._normal(t) * t.std(correction=0) if t.is_floating_point() else t for n, t in self._state.items()
                }
                missed &= set(self._missed(group, unit, state, self._alive(state)))
        return Trial(min(alone, other), alone, _distance(cut, self._output), tuple(sorted(missed)))

    def _changed(self, zeroed: dict[str, Tensor], group: Group, unit: int, cut: Tensor, taking: bool) -> float:
        """How much the output changes with random numbers in the consumers of a unit, or in all other members."""
        state = dict(zeroed)
        for m in group.members:
            if (m.role == "consumer") == taking:
                _fill(state, m, unit, self._normal)
        return _distance(self._run(state), cut)

    def _zeroed(self, state: dict[str, Tensor], group: Group, unit: int) -> dict[str, Tensor]:
        state = dict(state)
        for m in group.members:
            _fill(state, m, unit, torch.zeros_like)
        return state

    def _missed(
        self, group: Group, unit: int, state: dict[str, Tensor], before: dict[str, list[Tensor]]
    ) -> Iterator[tuple[str, int, int]]:
        own = {(m.parameter, m.dim): set(m.of(unit).tolist()) for m in group.members}
        after = self._alive(self._zeroed(state, group, unit))
        for name, dims in before.items():
            if any((name, d) in own and not alive.any() for d, alive in enumerate(after[name])):
                continue  # the unit was all that was left of it
            for dim, alive in enumerate(dims):
                for index in (alive & ~after[name][dim]).nonzero().flatten().tolist():
                    if index not in own.get((name, dim), ()):
                        yield name, dim, index

    def _run(self, state: dict[str, Tensor]) -> Tensor:
        args, kwargs = self._inputs
        out = functional_call(self._model, state, args, kwargs)
        leaves = [x.flatten().double() for x in _tensors(out) if x.is_floating_point()]
        return torch.cat(leaves)

    def _alive(self, state: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Of each parameter and dimension, the indices on which the output depends, by its gradient."""
        names = [n for n, _ in self._model.named_parameters()]
        leaves = {n: state[n].detach().clone().requires_grad_() for n in names}
        out = self._run({**state, **leaves}) @ self._direction
        grads = torch.autograd.grad(out, list(leaves.values()), allow_unused=True)
        alive = {}
        for name, grad in zip(names, grads, strict=True):
            g = torch.zeros_like(leaves[name]) if grad is None else grad
            full = g.abs() > 1e-6 * max(float(g.abs().max()), 1e-6) if g.numel() else g.bool()
            alive[name] = [full.movedim(d, 0).reshape(full.shape[d], -1).any(1) for d in range(g.dim())]
        return alive

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._random, dtype=torch.float64)


def _tensors(out: object) -> list[Tensor]:
    """The tensors of any output, also of a Transformers one."""
    if hasattr(out, "to_tuple"):
        out = out.to_tuple()
    return [x for leaf in pytree.tree_leaves(out) for x in ([leaf] if isinstance(leaf, Tensor) else [])]


def _fill(state: dict[str, Tensor], member: Member, unit: int, value: Callable[[Tensor], Tensor]) -> None:
    tensor = state[member.parameter].clone()
    where = torch.from_numpy(member.of(unit))
    part = tensor.index_select(member.dim, where)
    state[member.parameter] = tensor.index_copy_(member.dim, where, value(part).to(part.dtype))


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp_min(1e-300))
