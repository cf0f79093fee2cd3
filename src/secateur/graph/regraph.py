"""The smaller model as a traced graph, for a forward whose Python holds sizes it cannot have."""

from __future__ import annotations

import dataclasses as dc
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from .analysis import Analysis, Gone, Removed
from .collect import collect
from .cut import sliced, tensors
from .groups import tied_names
from .propagate import Propagation
from .provenance import kept_groups
from .record import Recording
from .shrink import Shrinking
from .sizes import Notes
from .trace import ExampleInputs, batch_size, trace
from .verify import Failure

__all__ = ["open_analysis", "smaller_graph"]


def open_analysis(model: nn.Module, example_inputs: ExampleInputs) -> Analysis:
    """An analysis of the graph alone, its batch size left open where the model allows it."""
    tied = tied_names(model)
    program = trace(model, example_inputs)
    labels = Propagation(program, tied)
    batch = batch_size(example_inputs)
    opened = any(isinstance(n.meta.get("val"), torch.SymInt) for n in program.graph.nodes)
    recording = Recording(program, (), {}, Notes(), {}, 2 if batch == 1 and opened else batch)
    return Analysis(recording, labels, collect(labels, tied), recording.batch)


def smaller_graph(model: nn.Module, example_inputs: ExampleInputs, plan: Removed | None, *, narrow_norms: bool) -> fx.GraphModule:
    """A graph of the model without some units, checked against the masked model; see :func:`~secateur.graph.shrink.shrink_`."""
    shrinking = _Regraphing(model, example_inputs, open_analysis(model, example_inputs), plan, narrow_norms)
    shrunk = shrinking.run()
    graph = shrinking.graph or _built(shrinking.analysis, shrinking.model, shrinking.analysis.gone({}))
    graph.meta["shrunk"] = shrunk
    return graph


@dc.dataclass(eq=False)
class _Made:
    """A graph that was checked."""

    error: float
    changes: dict[Any, int] = dc.field(default_factory=dict)

    def undo(self) -> None:
        """The model was never changed."""


class _Regraphing(Shrinking):
    """Shrinking that makes a graph and leaves the model alone."""

    graph: fx.GraphModule | None = None
    writes_notes = False

    def attempt(self, removed: dict[str, np.ndarray]) -> Any:
        """A graph without these units, or why it would not be the same model."""
        gone = self.analysis.gone(removed)
        self.reference.prepare(gone)
        try:
            graph = _built(self.analysis, self.model, gone, self.folds.added(self.model, removed))
            made = _Made(self.reference.compare(gone, graph))
            own = tensors(self.model)
            for name, tensor in tensors(graph).items():  # what was folded was so in double precision
                tensor.data = tensor.data.to(own[name].dtype) if name in own else tensor.data
        except Failure as failure:
            return failure
        self.graph = graph
        return made


def _built(analysis: Analysis, model: nn.Module, gone: Gone, folds: Mapping[str, Tensor] | None = None) -> fx.GraphModule:
    whole = analysis.recording.program.module()
    nodes = {n.name: n for n in analysis.labels.dims}
    graph = fx.GraphModule(whole, whole.graph)
    for node in list(graph.graph.nodes):
        if node.op == "call_module" and not node.users:  # checks of the inputs
            graph.graph.erase_node(node)
        elif node.op == "call_function" and node.name in nodes:
            _resize(analysis, nodes[node.name], node, gone)
    graph.recompile()
    for name, tensor in [*graph.named_parameters(remove_duplicate=False), *graph.named_buffers(remove_duplicate=False)]:
        owner, _, leaf = name.rpartition(".")
        whole_values, fold = tensor.detach(), (folds or {}).get(analysis.labels.names.get(name, name))
        whole_values = whole_values if fold is None else whole_values.double() + fold.to(whole_values.device)
        small = sliced(whole_values, analysis, name, gone)
        values = (whole_values if small is None else small).clone()
        trained = isinstance(tensor, nn.Parameter)
        holder = graph.get_submodule(owner)
        if trained:
            holder._parameters[leaf] = nn.Parameter(values, requires_grad=tensor.requires_grad)
        else:
            holder._buffers[leaf] = values
    _tie(graph, analysis.labels.names)
    graph.training = False
    return graph


def _tie(graph: fx.GraphModule, names: Any) -> None:
    """Parameters that were one tensor are one again."""
    own = dict(graph.named_parameters(remove_duplicate=False))
    for name, first in names.items():
        if name != first and name in own and first in own:
            owner, _, leaf = name.rpartition(".")
            graph.get_submodule(owner)._parameters[leaf] = own[first]


# ---------------------------------------------------------------- sizes in the arguments of operations

Rule = Callable[["_Sizes"], None]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(f: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, f))
        return f

    return register


def _resize(analysis: Analysis, known: fx.Node, node: fx.Node, gone: Gone) -> None:
    rule = _RULES.get(getattr(node.target, "_opname", ""))
    if rule is not None:
        rule(_Sizes(analysis, known, node, gone))


@dc.dataclass(frozen=True, eq=False)
class _Sizes:
    """An operation whose arguments hold sizes: as it was traced and labelled, and as it will run."""

    analysis: Analysis
    known: fx.Node
    node: fx.Node
    gone: Gone

    def out(self, k: int | None = None) -> tuple[int, ...]:
        """The sizes of the result, or of one of several."""
        value, dims = self.known.meta["val"], self.analysis.labels.dims[self.known]
        if k is not None:
            value, dims = value[k], dims[k]
        return self.analysis.sizes(dims, _dense(value), self.gone)

    def labels(self, argument: int, dim: int) -> tuple[Any, int]:
        """The labels of a dimension of an operand, and its size as traced."""
        x = self.known.args[argument]
        assert isinstance(x, fx.Node)
        dims = self.analysis.labels.dims[x]
        return dims[dim], self.analysis.labels.shape(x)[dim]

    def left(self, labels: Any, n: int) -> int:
        """How many indices are left."""
        return len(self.analysis.keep(labels, n, self.gone))

    def put(self, position: int, value: Any) -> None:
        """Change an argument."""
        args = list(self.node.args)
        args[position] = value
        self.node.args = tuple(args)


def _dense(value: torch.Tensor) -> tuple[int, ...]:
    return tuple(s if isinstance(s, int) else int(s.node.hint or 0) for s in value.shape)


def _numbers(wanted: Any, sizes: tuple[int, ...], dense: tuple[int, ...] = ()) -> list[Any]:
    """Sizes given as integers replaced; -1 and open ones left, but for one open one that changes: it becomes the rest."""
    skip = len(sizes) - len(wanted)
    new = [sizes[skip + k] if isinstance(x, int) and x >= 0 else x for k, x in enumerate(wanted)]
    other = [k for k, x in enumerate(wanted) if isinstance(x, fx.Node) and dense and sizes[skip + k] != dense[skip + k]]
    if len(other) == 1 and -1 not in new:
        new[other[0]] = -1
    return new


@_rule("view", "reshape", "_unsafe_view", "expand", "broadcast_to", "new_zeros", "new_ones", "new_empty", "new_full")
def _view(s: _Sizes) -> None:
    dense = _dense(s.known.meta["val"]) if "view" in str(s.node.target) or "reshape" in str(s.node.target) else ()
    s.put(1, _numbers(s.node.args[1], s.out(), dense))


@_rule("zeros", "ones", "empty", "full", "rand", "randn")
def _made(s: _Sizes) -> None:
    s.put(0, _numbers(s.node.args[0], s.out()))


@_rule("unflatten")
def _unflatten(s: _Sizes) -> None:
    sizes, wanted = s.out(), s.node.args[2]
    assert isinstance(wanted, list | tuple)
    rank = len(sizes) - len(wanted) + 1
    at = int(s.node.args[1]) % rank  # type: ignore[arg-type]
    s.put(2, _numbers(wanted, sizes[at : at + len(wanted)]))


@_rule("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_chunk", "unsafe_split")
def _split(s: _Sizes) -> None:
    dim = int(s.node.args[2]) if len(s.node.args) > 2 else int(s.node.kwargs.get("dim", 0))  # type: ignore[arg-type]
    sizes = [s.out(k)[dim] for k in range(len(s.known.meta["val"]))]
    dense = [_dense(v)[dim] for v in s.known.meta["val"]]
    if sizes != dense:
        s.node.target = torch.ops.aten.split_with_sizes.default
        s.node.args, s.node.kwargs = (s.node.args[0], sizes, dim), {}


@_rule("slice", "narrow")
def _slice(s: _Sizes) -> None:
    args = [*s.node.args, *(None,) * (4 - len(s.node.args))]
    dim = int(args[1] or 0)  # type: ignore[arg-type]
    labels, n = s.labels(0, dim)
    if isinstance(labels, int):
        return
    if "narrow" in str(s.node.target):
        s.node.args = (args[0], dim, s.left(labels[: args[2]], int(args[2] or 0)), s.out()[dim])  # type: ignore[arg-type]
        return
    for k in (2, 3):
        bound = args[k]
        if isinstance(bound, int) and -n < bound < n and bound:
            if bound > 0:
                args[k] = s.left(labels[:bound], bound)
            else:
                args[k] = -s.left(labels[bound:], -bound)
    s.node.args = tuple(args)


@_rule("layer_norm", "rms_norm", "native_layer_norm", "_fused_rms_norm")
def _norm(s: _Sizes) -> None:
    wanted = s.node.args[1]
    assert isinstance(wanted, list | tuple)
    s.put(1, list(s.out(0 if isinstance(s.known.meta["val"], list | tuple) else None)[-len(wanted) :]))


@_rule("group_norm")
def _group_norm(s: _Sizes) -> None:
    labels, n = s.labels(0, 1)
    groups = int(s.node.args[1])  # type: ignore[arg-type]
    s.put(1, s.left(kept_groups(s.analysis.labels, groups, labels, n), groups))


@_rule("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv(s: _Sizes) -> None:
    groups = int(s.node.args[6]) if len(s.node.args) > 6 else 1  # type: ignore[arg-type]
    if groups > 1:
        taps = int(getattr(s.node.target, "_opname", "").rstrip("d")[-1])
        labels, n = s.labels(0, -taps - 1)
        s.put(6, s.left(kept_groups(s.analysis.labels, groups, labels, n), groups))


@_rule("repeat_interleave")
def _repeat_interleave(s: _Sizes) -> None:
    if len(s.node.args) > 2 and isinstance(s.node.args[1], int) and isinstance(s.node.args[2], int):
        dim = s.node.args[2]
        labels, n = s.labels(0, dim)
        s.put(1, s.out()[dim] // max(s.left(labels, n), 1))


@_rule("pad", "constant_pad_nd")
def _pad(s: _Sizes) -> None:
    amounts, dims, dense = list(s.node.args[1]), s.analysis.labels.dims[s.known], s.analysis.labels.shape(s.known)  # type: ignore[arg-type]
    for k in range(len(amounts) // 2):
        labels, n = dims[-1 - k], dense[-1 - k]
        before, after = amounts[2 * k], amounts[2 * k + 1]
        if not isinstance(labels, int) and isinstance(before, int) and before > 0:
            amounts[2 * k] = s.left(labels[:before], before)
        if not isinstance(labels, int) and isinstance(after, int) and after > 0:
            amounts[2 * k + 1] = s.left(labels[n - after :], after)
    s.put(1, amounts)


@_rule("scaled_dot_product_attention")
def _attention(s: _Sizes) -> None:
    labels, n = s.labels(0, -1)
    if s.node.kwargs.get("scale") is None and s.left(labels, n) != n:
        s.node.kwargs = {**s.node.kwargs, "scale": 1 / math.sqrt(n)}
