"""A model shrunken by a plan, and everything that must be true of it. No test in here."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateur.evaluate.macs import count_macs
from secateur.graph.analysis import Analysis, analyse
from secateur.graph.groups import Groups
from secateur.graph.shrink import Shrunk, shrink_

Plan = Mapping[str, Sequence[int]]


def run(model: nn.Module, x: Any) -> list[Tensor]:
    """What a model gives, in double precision."""
    x = double(x)
    args, kwargs = ((), x) if isinstance(x, dict) else (x if isinstance(x, tuple) else (x,), {})
    out = model(*args, **kwargs)
    out = out.to_tuple() if hasattr(out, "to_tuple") else out
    return [t for t in pytree.tree_leaves(out) if isinstance(t, Tensor) and t.is_floating_point()]


def double(x: Any) -> Any:
    """Inputs in double precision."""
    return pytree.tree_map(lambda t: t.double() if isinstance(t, Tensor) and t.is_floating_point() else t, x)


def other_batch(x: Any) -> Any:
    """Three examples, of which two are new."""

    def more(t: Any) -> Any:
        if not isinstance(t, Tensor) or not t.dim():
            return t
        fresh = torch.randn(2, *t.shape[1:]) if t.is_floating_point() else t[:2].flip(-1)
        return torch.cat([t[:1], fresh.to(t.dtype)])

    return pytree.tree_map(more, x)


def distance(a: list[Tensor], b: list[Tensor]) -> float:
    """The largest relative error; infinite where shapes differ."""
    if [x.shape for x in a] != [y.shape for y in b] or not b:
        return float("inf")
    return max(float((x - y).detach().norm() / y.detach().norm().clamp_min(1e-300)) for x, y in zip(a, b, strict=True))


def masked(model: nn.Module, groups: Groups, plan: Plan) -> nn.Module:
    """A copy in which everything the units own is zero, and whose norms average over what is left."""
    twin = copy.deepcopy(model)
    state = {**dict(twin.named_parameters(remove_duplicate=False)), **dict(twin.named_buffers(remove_duplicate=False))}
    lost: dict[str, set[int]] = {}
    with torch.no_grad():
        for name, units in plan.items():
            for m in groups[name].members:
                indices = np.concatenate([m.of(int(u)) for u in units]) if len(units) else []
                state[m.parameter].index_fill_(m.dim, torch.as_tensor(indices, dtype=torch.long), 0)
                lost.setdefault(m.parameter, set()).update(int(k) for k in indices)
    for name, module in twin.named_modules():
        gone = lost.get(f"{name}.weight")
        if gone and "Norm" in type(module).__name__ and not isinstance(module, nn.modules.batchnorm._NormBase):
            keep = torch.tensor([k for k in range(module.weight.numel()) if k not in gone])
            module.forward = _Narrow(module, keep)
    return twin


class _Narrow:
    """A norm over some channels only; the others come out as zeros."""

    def __init__(self, module: nn.Module, keep: Tensor) -> None:
        self.keep, self.small = keep, copy.copy(module)
        self.dim = 1 if isinstance(module, nn.GroupNorm) else -1
        self.small._parameters = {n: None if p is None else nn.Parameter(p.detach()[keep]) for n, p in module._parameters.items()}
        if isinstance(module, nn.GroupNorm):
            of = torch.arange(module.num_channels) // (module.num_channels // module.num_groups)
            self.small.num_channels, self.small.num_groups = len(keep), len(of[keep].unique())
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            self.small.normalized_shape = (len(keep),)

    def __call__(self, x: Tensor) -> Tensor:
        out = self.small(x.index_select(self.dim, self.keep))
        return torch.zeros_like(x).index_copy(self.dim, self.keep, out)


def half(groups: Groups, *, statistics: bool = True) -> dict[str, list[int]]:
    """The first half of every group; of groups that share indices, only of the one with the widest units."""
    width = {g.name: max((m.run for m in g.members if m.role != "consumer"), default=1) for g in groups}
    return {
        g.name: list(range(g.units // 2))
        for g in groups.prunable
        if (statistics or not g.statistics)
        and not any(groups[c].prunable and width[c] > width[g.name] for c in g.crosses)
    }  # fmt: skip


def snapshot(model: nn.Module) -> dict[str, Any]:
    """All that a model is: values bit for bit, and the attributes of its modules."""
    hidden = ("_parameters", "_buffers", "_modules")
    own = {name: {k: v for k, v in vars(m).items() if k not in hidden} for name, m in model.named_modules()}
    state = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {
        "attributes": copy.deepcopy({n: {k: repr(v) for k, v in a.items()} for n, a in own.items()}),
        "values": {n: (id(t), t.dtype, t.detach().clone()) for n, t in state},
        "grads": {n: None if t.grad is None else t.grad.clone() for n, t in model.named_parameters()},
    }


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a["attributes"] == b["attributes"]
    assert a["values"].keys() == b["values"].keys()
    for name, (key, dtype, value) in a["values"].items():
        assert b["values"][name][:2] == (key, dtype)
        assert torch.equal(value, b["values"][name][2]), name
    for name, grad in a["grads"].items():
        assert (grad is None) == (b["grads"][name] is None)
        assert grad is None or torch.equal(grad, b["grads"][name])


def left_of(a: Analysis, plan: Plan, shrunk: Shrunk) -> dict[str, list[int]]:
    """The units that went: those of the plan, less the first of them where some stayed."""
    left = {n: list(plan[n])[len(plan[n]) - k :] for n, k in shrunk.cut.items()}
    assert all(n in shrunk.kept for n in plan if len(plan[n]) and len(left.get(n, ())) < len(plan[n]))
    assert all(0 < k < a.groups[n].units for n, k in shrunk.cut.items())
    return left


def shrink_and_check(
    model: nn.Module, x: Any, plan: Plan | None = None, *, least: int = 1, keep: bool = False, pickles: bool = True
) -> Shrunk:
    """Shrink a model in double precision and check everything that is promised of it.

    Args:
        model: in evaluation mode.
        x: example inputs.
        plan: units; half of everything by default.
        least: how many groups must have been cut.
        keep: leave the model as it was; a copy is shrunken.
        pickles: whether PyTorch can pickle it.
    """
    model = copy.deepcopy(model) if keep else model
    model, x = model.double(), double(x)
    a = analyse(model, x)
    plan = half(a.groups) if plan is None else plan
    dense, before = copy.deepcopy(model), snapshot(model)
    keys, forward, kind = list(model.state_dict()), model.forward.__func__, type(model)
    inside, modes = [id(m) for m in model.modules()], [m.training for m in model.modules()]
    shrunk = shrink_(model, x, plan, narrow_norms=True)

    assert len(shrunk.cut) >= least, str(shrunk)
    left = left_of(a, plan, shrunk)
    assert list(model.state_dict()) == keys
    assert model.forward.__func__ is forward
    assert type(model) is kind
    assert [id(m) for m in model.modules()] == inside
    assert [m.training for m in model.modules()] == modes
    after = snapshot(model)
    assert {n: v[0] for n, v in before["values"].items()} == {n: v[0] for n, v in after["values"].items()}
    if not left:
        assert_same(before, after)

    reference = masked(dense, a.groups, left)
    for inputs in (x, other_batch(x)):
        assert distance(run(model, inputs), run(reference, inputs)) < 1e-10
    assert shrunk.error < 1e-10
    _check_counts(model, x, a, left, shrunk)
    _check_use(model, x, pickles)
    return shrunk


def _check_counts(model: nn.Module, x: Any, a: Analysis, left: Plan, shrunk: Shrunk) -> None:
    """What was predicted is what there is."""
    state = dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])
    assert {name: state[name].shape for name in a.shapes(left)} == a.shapes(left)
    assert a.params(left) == shrunk.params[1] == sum(p.numel() for p in model.parameters())
    assert a.macs(left) == shrunk.macs[1] == count_macs(model, x, warn=False).total


def _check_use(model: nn.Module, x: Any, pickles: bool) -> None:
    """It trains, and is copied and pickled."""
    outputs = run(model, x)
    sum(t.sum() for t in outputs).backward()
    assert all(p.grad is None or p.grad.shape == p.shape for p in model.parameters())
    assert any(p.grad is not None for p in model.parameters())
    model.zero_grad()
    for twin in [copy.deepcopy(model), *([pickle.loads(pickle.dumps(model))] if pickles else [])]:
        assert distance(run(twin, x), outputs) == 0
