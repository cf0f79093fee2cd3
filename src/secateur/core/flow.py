"""Which layer feeds which, read from a symbolic trace of the model's forward where one exists."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

__all__ = ["Flow", "read_flow"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
# between two layers these keep output j of the first as the input (block) j of the second
_TRANSPARENT_MODULES = (*_NORMS, *_DROPOUTS, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Hardswish,
                        nn.ReLU6, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
                        nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Identity)  # fmt: skip
_TRANSPARENT_NAMES = {"relu", "gelu", "silu", "tanh", "sigmoid", "elu", "leaky_relu", "hardswish", "dropout", "flatten",
                      "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "boolean_dispatch", "relu_"}  # fmt: skip

# called with a parameter these are a layer themselves
_CONTRACTIONS = {"linear", "matmul", "mm", "addmm", "einsum", "conv1d", "conv2d", "conv3d"}


@dataclass(frozen=True)
class Flow:
    """What a model's trace says about its layers; empty where the model cannot be traced.

    Args:
        classifier: names of the weights that give the output.
        norm_after: layer name → the batch norm that alone reads its output.
        next_layer: layer name → the one layer its output reaches, unit by unit.
        layer_before_dropout: dropout name → the layer whose output it drops.
    """

    classifier: frozenset[str] = frozenset()
    norm_after: dict[str, str] = field(default_factory=dict)
    next_layer: dict[str, str] = field(default_factory=dict)
    layer_before_dropout: dict[str, str] = field(default_factory=dict)


def read_flow(model: nn.Module) -> Flow:
    """Trace a model (a copy that shares its parameters; the model is not touched) and read its flow off the graph.

    A model that cannot be traced symbolically still has its classifier found: the last layer it defines.
    """
    try:
        graph = _trace(model)
    except Exception:  # a symbolic trace may fail in any way the user's forward likes
        return Flow(classifier=_last_weight(model))
    modules = dict(model.named_modules())
    flow = Flow(classifier=_classifier(graph, modules) or _last_weight(model))
    shared = _shared(graph, modules)
    for node in graph.nodes:
        if node.op != "call_module" or node.target in shared:
            continue
        name, module = str(node.target), modules[str(node.target)]
        if _has_weight(module):
            follower = _only_user(node)
            norm = str(follower.target) if follower is not None and follower.op == "call_module" else ""
            if isinstance(modules[norm], _NORMS) and norm not in shared:
                flow.norm_after[name] = norm
            reached = _next_layer(node, modules)
            if reached is not None and reached not in shared:
                flow.next_layer[name] = reached
        elif isinstance(module, _DROPOUTS):
            before = _layer_before(node, modules)
            if before is not None:
                flow.layer_before_dropout[name] = before
    return flow


def _trace(model: nn.Module) -> fx.Graph:
    shared = {id(p): p for p in model.parameters()}  # buffers are copied: a forward may count in them
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # a forward may draw: the caller's draws stay as they were
        warnings.simplefilter("ignore")
        return fx.Tracer().trace(copy.deepcopy(model, shared))


def _shared(graph: fx.Graph, modules: dict[str, nn.Module]) -> set[str]:
    """Modules used in more than one place, or whose parameters are: what is cut for one place would be missing in the other."""
    calls = Counter(str(n.target) for n in graph.nodes if n.op == "call_module")
    calls.update(str(n.target).rpartition(".")[0] for n in graph.nodes if n.op == "get_attr")
    owners = Counter(id(p) for m in set(modules.values()) for p in m.parameters(recurse=False))
    return {n for n, m in modules.items() if calls[n] > 1 or any(owners[id(p)] > 1 for p in m.parameters(recurse=False))}


def _has_weight(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim >= 2 and not isinstance(module, nn.Embedding)


def _last_weight(model: nn.Module) -> frozenset[str]:
    names = [n for n, m in model.named_modules() if _has_weight(m) and "Norm" not in type(m).__name__]
    return frozenset((f"{names[-1]}.weight" if names[-1] else "weight",)) if len(names) > 1 else frozenset()


def _classifier(graph: fx.Graph, modules: dict[str, nn.Module]) -> frozenset[str]:
    """Weights met first on the way back from the output; empty when they are the model's only ones."""
    found, seen = set(), set()
    stack = [n for n in graph.nodes if n.op == "output"]
    while stack:
        node = stack.pop()
        contracts = node.op == "call_function" and getattr(node.target, "__name__", "") in _CONTRACTIONS
        operands = [s for s in node.all_input_nodes if s.op == "get_attr"] if contracts else []
        for source in operands or node.all_input_nodes:
            if source in seen:
                continue
            seen.add(source)
            if source.op == "call_module" and _has_weight(modules[str(source.target)]):
                found.add(f"{source.target}.weight")
            elif source.op == "get_attr":
                found.add(str(source.target))
            else:
                stack.append(source)
    layers = [n for n in graph.nodes if n.op == "get_attr" or (n.op == "call_module" and _has_weight(modules[str(n.target)]))]
    return frozenset(found) if len(layers) > len(found) else frozenset()


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _transparent(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], _TRANSPARENT_MODULES)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op in ("call_function", "call_method") and name in _TRANSPARENT_NAMES


def _next_layer(node: fx.Node, modules: dict[str, nn.Module]) -> str | None:
    here, flat = _only_user(node), False
    while here is not None and _transparent(here, modules):
        flat = flat or _flattens(here, modules)
        here = _only_user(here)
    if here is None or here.op != "call_module" or not _has_weight(modules[str(here.target)]):
        return None
    layer, following = modules[str(node.target)], modules[str(here.target)]
    grouped = getattr(following, "groups", 1) > 1
    return None if grouped or not _aligned(layer.weight, following.weight, flat) else str(here.target)


def _flattens(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a node joins channels and positions: channel j becomes block j."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        return isinstance(module, nn.Flatten) and module.start_dim == 1
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
    return name == "flatten" and bool(start == 1)


def _aligned(weight: Any, following: Any, flat: bool) -> bool:
    """Whether output j of a layer is input (block) j of the next: linear layers read the last dimension, not the channels."""
    if weight.ndim == 2:
        return bool(following.ndim == 2 and (not flat or following.shape[1] == weight.shape[0]))
    return bool(following.ndim > 2 or flat)


def _layer_before(node: fx.Node, modules: dict[str, nn.Module]) -> str | None:
    here = node.all_input_nodes[0] if node.all_input_nodes else None
    while here is not None and _transparent(here, modules):
        here = here.all_input_nodes[0] if here.all_input_nodes else None
    if here is None or here.op != "call_module" or not _has_weight(modules[str(here.target)]):
        return None
    return str(here.target)
