"""The dense model with units zeroed, and how far two outputs are apart."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from secateur.graph.groups import Groups

__all__ = ["NormsOfTheRest", "distance", "outputs", "places", "zeroed"]

Places = Mapping[tuple[str, int], Sequence[int]]


def places(groups: Groups, units: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], list[int]]:
    """Where these units are: indices of a parameter's dimension."""
    found: dict[tuple[str, int], list[int]] = {}
    for name, removed in units.items():
        for m in groups[name].members:
            own = np.concatenate([m.of(u) for u in removed]).tolist() if len(removed) else []
            found[m.parameter, m.dim] = sorted({*found.get((m.parameter, m.dim), ()), *own})
    return found


def zeroed(model: nn.Module, where: Places) -> nn.Module:
    """A copy with these indices zeroed."""
    twin = copy.deepcopy(model)
    state = {**dict(twin.named_parameters()), **dict(twin.named_buffers())}
    with torch.no_grad():
        for (name, dim), indices in where.items():
            state[name].index_fill_(dim, torch.tensor(indices, dtype=torch.long), 0)
    return twin


def outputs(result: Any) -> list[Tensor]:
    """The tensors of any output that hold real numbers."""
    if hasattr(result, "to_tuple"):
        result = result.to_tuple()
    found: list[Tensor] = []
    for leaf in pytree.tree_leaves(result):
        if isinstance(leaf, Tensor):
            found += [leaf] if leaf.is_floating_point() and leaf.numel() else []
        elif hasattr(leaf, "to_tuple"):
            found += outputs(leaf)
    return found


def distance(a: list[Tensor], b: list[Tensor]) -> float:
    """The largest relative error of any tensor; infinite when they are not alike.

    A tensor that is small beside the others is measured by them; what is not finite, or marks a place, must be equal.
    """
    if [x.shape for x in a] != [y.shape for y in b]:
        return float("inf")
    pairs = [(x.detach().double().flatten(), y.detach().double().flatten()) for x, y in zip(a, b, strict=True)]
    apart, sizes = [], []
    for x, y in pairs:
        real = y.isfinite() & (y.abs() < 1e30)
        if not torch.equal(x[~real].nan_to_num(), y[~real].nan_to_num()):
            return float("inf")
        apart.append(float((x[real] - y[real]).norm()))
        sizes.append(float(y[real].norm()))
    least = max([1e-3 * max(sizes, default=0.0), 1e-300])
    worst = [d / max(s, least) for d, s in zip(apart, sizes, strict=True)]
    return max((float("inf") if np.isnan(w) else w for w in worst), default=float("inf"))


class NormsOfTheRest(TorchFunctionMode):
    """In a model with zeroed channels, norms average over the others only, as they do once the zeroed ones are gone.

    A dimension counts as cut when the module that runs lost those indices of its own weight, or when it is zero at all the
    indices that some weight lost: a head whose query is gone still averages over values before its norm.

    Args:
        where: what is zeroed.
        model: the model, for the sizes.
    """

    def __init__(self, where: Places, model: nn.Module) -> None:
        super().__init__()
        shapes = {n: t.shape for n, t in [*model.named_parameters(), *model.named_buffers()]}
        self._left: dict[int, list[Tensor]] = {}
        self._own: dict[str, Tensor] = {}
        self._running: list[Tensor | None] = []
        for (name, dim), gone in where.items():
            keep = torch.ones(shapes[name][dim], dtype=torch.bool)
            keep[list(gone)] = False
            if gone and len(shapes[name]) == 1:
                self._own[name.rpartition(".")[0]] = keep
            known = self._left.setdefault(len(keep), [])
            if gone and not any(torch.equal(keep, k) for k in known):
                known.append(keep)
        for known in self._left.values():
            known.sort(key=lambda k: int(k.sum()))

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        """While a model runs, with its modules followed."""
        names = {id(m): n for n, m in model.named_modules()}
        before = nn.modules.module.register_module_forward_pre_hook(
            lambda m, _: self._running.append(self._own.get(names.get(id(m), "")))
        )
        after = nn.modules.module.register_module_forward_hook(lambda *_: self._leave(), always_call=True)
        try:
            with self:
                yield
        finally:
            before.remove()
            after.remove()
            self._running.clear()

    def _leave(self) -> None:
        self._running.pop()

    def _keep(self, x: Tensor, dim: int) -> Tensor | None:
        """Which indices are left, if some are not."""
        own = self._running[-1] if self._running else None
        if own is not None and x.shape[dim] == len(own) and x.is_floating_point():
            return own
        known = self._left.get(x.shape[dim], [])
        if not known or not x.is_floating_point():
            return None
        alive = (x != 0).movedim(dim, 0).reshape(x.shape[dim], -1).any(1)
        return next((keep for keep in known if not alive[~keep].any() and alive.any()), None)

    def __torch_function__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if f in (F.layer_norm, torch.layer_norm, F.rms_norm, torch.rms_norm):
                return self._norm(f, *args, **kwargs)
            if f in (F.group_norm, torch.group_norm):
                return self._groups(f, *args, **kwargs)
            if f is F.batch_norm:
                return self._standardised(f, *args, **kwargs)
            if f in (Tensor.mean, torch.mean, Tensor.var, torch.var, torch.var_mean, Tensor.std):
                return self._mean(f, *args, **kwargs)
            return f(*args, **kwargs)

    def _norm(self, f: Any, x: Tensor, shape: Any, weight: Any = None, *rest: Any, **named: Any) -> Tensor:
        keep = self._keep(x, -1) if len(shape) == 1 else None
        if keep is None:
            return f(x, shape, weight, *rest, **named)
        cut = lambda t: t[keep] if isinstance(t, Tensor) else t  # noqa: E731
        small = f(x[..., keep], (int(keep.sum()),), cut(weight), *map(cut, rest), **{k: cut(v) for k, v in named.items()})
        return torch.zeros_like(x).masked_scatter(keep.expand_as(x), small)

    def _groups(self, f: Any, x: Tensor, groups: int, weight: Any = None, bias: Any = None, *rest: Any, **named: Any) -> Tensor:
        keep = self._keep(x, 1)
        if keep is None or int(keep.sum()) % groups:
            return f(x, groups, weight, bias, *rest, **named)
        cut = lambda t: t[keep] if isinstance(t, Tensor) else t  # noqa: E731
        # as many of each group are left, or whole groups are gone
        each = keep.view(groups, -1).sum(1)
        left = groups if bool((each == each[0]).all()) else int((each > 0).sum())
        small = f(x[:, keep], left, cut(weight), cut(bias), *rest, **named)
        out = torch.zeros_like(x)
        out[:, keep] = small
        return out

    def _standardised(self, f: Any, x: Tensor, mean: Any = None, *rest: Any, training: bool = False, **named: Any) -> Tensor:
        """Weights seen as one example of many channels: those that nothing feeds any more do not count."""
        alive = (x != 0).any(dim=1).flatten() if training and x.dim() == 3 and len(x) == 1 else None
        small = f(x if alive is None else x[..., alive], mean, *rest, training=training, **named)
        return small if alive is None else torch.zeros_like(x).masked_scatter(alive.expand_as(x), small)

    def _mean(self, f: Any, x: Tensor, *args: Any, **named: Any) -> Any:
        dim = named.get("dim", named.get("axis", args[0] if args else None))
        dim = dim[0] if isinstance(dim, list | tuple) and len(dim) == 1 else dim
        keep = self._keep(x, dim) if isinstance(dim, int) and not isinstance(dim, bool) and x.dim() else None
        if keep is not None:
            x = x.index_select(dim, keep.nonzero().flatten())
        return f(x, *args, **named)
