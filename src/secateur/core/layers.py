"""What pruning sees of a model: prunable parameters, what follows them, and why the others stay dense."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch

from torch import Tensor, nn

from .errors import ModelError
from .flow import Flow, read_flow

__all__ = ["Layer", "Target", "find_targets", "is_kernel", "is_transposed", "unwrap"]

_WEIGHTS = ("weight", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "weight_ih", "weight_hh")
_TRANSPOSED = ("Conv1D", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")  # by name: transformers is not needed
_WRAPPERS = ("DistributedDataParallel", "DataParallel", "AveragedModel")
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Target:
    """A parameter that can be pruned.

    Args:
        name: its name in ``named_parameters()``.
        shape: its shape with the output dimension first.
        transposed: whether the parameter itself has the input dimension first.
        kernel: whether it is a convolution's.
        followers: names of the per-output parameters that go with it (bias, batch-norm scale and shift).
    """

    name: str
    shape: tuple[int, ...]
    transposed: bool = False
    kernel: bool = False
    followers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One target as an allocation sees it at a pruning event.

    Args:
        name: the parameter's name.
        weight: its values, output dimension first.
        mask: what is left of it (None: everything), same shape.
        score: returns the score of each unit, any shape; −inf is gone already, +inf must stay.
        units: number of units.
        cost: parameters a unit holds, followers included.
    """

    name: str
    weight: Tensor
    mask: Tensor | None
    score: Callable[[], Tensor]
    units: int
    cost: int


def unwrap(model: nn.Module) -> nn.Module:
    """The user's module inside ``torch.compile``, data-parallel or averaging wrappers: same parameters, plain names."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in _WRAPPERS:
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def is_kernel(module: nn.Module) -> bool:
    """Whether a module is a convolution."""
    return isinstance(module, _CONVS)


def is_transposed(model: nn.Module, name: str) -> bool:
    """Whether a parameter of the model has its input dimension first."""
    owner, _, leaf = name.rpartition(".")
    return type(model.get_submodule(owner)).__name__ in _TRANSPOSED and leaf == "weight"


def find_targets(
    model: nn.Module, *, include: Iterable[str] = (), exclude: Iterable[str] = (), prune_classifier: bool = False
) -> tuple[list[Target], dict[str, str], Flow]:
    """The prunable parameters of a model, and for every other parameter of two dimensions or more why it stays dense.

    Args:
        model: any module.
        include: name patterns of parameters to prune although they would stay dense (``"*.pos_embed"``).
        exclude: name patterns of parameters to leave dense.
        prune_classifier: also prune the layer that gives the output.

    Raises:
        ModelError: a pattern matches nothing, or nothing is left to prune.
    """
    flow = read_flow(model)
    aliases: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(p), []).append(name)
    _check_patterns([*include, *exclude], [n for names in aliases.values() for n in names])
    targets, dense = [], {}
    for name, p in model.named_parameters():
        if p.ndim < 2:
            continue
        names = aliases[id(p)]
        reason = _why_dense(model, names, flow, tuple(include), tuple(exclude), prune_classifier)
        if reason is None:
            targets.append(_target(model, name, p, flow))
        else:
            dense[name] = reason
    if not targets:
        told = "; ".join(f"{n}: {r}" for n, r in list(dense.items())[:5]) or "the model has no weight of two dimensions or more"
        raise ModelError(f"nothing is left to prune: {told}")
    return targets, dense, flow


def _check_patterns(patterns: list[str], names: list[str]) -> None:
    for pattern in patterns:
        if not any(fnmatch(n, pattern) for n in names):
            raise ModelError(f"the pattern {pattern!r} matches no parameter; the model has {', '.join(names[:8])}, …")


def _why_dense(
    model: nn.Module, names: list[str], flow: Flow, include: tuple[str, ...], exclude: tuple[str, ...], classifier: bool
) -> str | None:
    """The reason to leave a parameter (under any of its names) dense, or None."""
    if any(fnmatch(n, e) for n in names for e in exclude):
        return "excluded by name"
    if any(fnmatch(n, i) for n in names for i in include):
        return None
    if not classifier and any(n in flow.classifier for n in names):
        return "classifier (prune_classifier=True prunes it)"
    for n in names:
        owner, _, leaf = n.rpartition(".")
        module = model.get_submodule(owner)
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            return "embedding (include it by name to prune it)"
        if "Norm" in type(module).__name__:
            return "normalisation"
        if not leaf.startswith(_WEIGHTS):
            return "not a layer's weight (include it by name to prune it)"
    return None


def _target(model: nn.Module, name: str, p: nn.Parameter, flow: Flow) -> Target:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    transposed = is_transposed(model, name)
    shape = (p.shape[1], p.shape[0], *p.shape[2:]) if transposed else tuple(p.shape)
    norm = flow.norm_after.get(owner)
    near = [(owner, "bias"), *(((norm, "weight"), (norm, "bias")) if norm is not None else ())]
    followers = []
    for where, what in near if leaf == "weight" else ():
        follower = getattr(model.get_submodule(where), what, None)
        if isinstance(follower, nn.Parameter) and follower.shape == (shape[0],):
            followers.append(f"{where}.{what}" if where else what)
    return Target(name=name, shape=shape, transposed=transposed, kernel=is_kernel(module), followers=tuple(followers))
