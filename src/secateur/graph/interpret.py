"""Running the traced graph itself, in double precision, with other weights or with norms over fewer units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from .cut import tensors
from .trace import ExampleInputs, split_inputs
from .verify import as_traced, double, in_double, tensors_of
from .views import Labels, reshape

if TYPE_CHECKING:
    from .analysis import Analysis, Gone

__all__ = ["interpret"]

_FLAT = frozenset({"relu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "threshold", "clamp",
                   "clamp_min", "clamp_max"})  # fmt: skip


def interpret(
    analysis: Analysis,
    model: nn.Module,
    inputs: ExampleInputs,
    state: Mapping[str, Tensor] | None = None,
    *,
    narrow: Gone | None = None,
    watch: Callable[[fx.Node, Any], None] | None = None,
    injective: bool = False,
) -> list[Tensor]:
    """What the traced graph gives for some inputs of the traced sizes; one example alone gets a second one.

    Args:
        analysis: of the model.
        model: for its parameters and buffers.
        inputs: as traced.
        state: parameters and buffers to use instead, by name.
        narrow: indices over which normalisations take no mean or variance.
        watch: called with every node and its value.
        injective: activations that give one value for many, such as a ReLU, are straight lines instead, through the same
            point at 0: what comes out constant is so for other reasons than chance.
    """
    program = analysis.recording.program
    known = {**tensors(model), **(state or {})}
    given = iter(pytree.tree_leaves(split_inputs(as_traced(inputs, analysis.batch))))
    values = []
    for spec in program.graph_signature.input_specs:
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            values.append(known[str(spec.target)].detach())
        elif spec.kind is InputKind.USER_INPUT:
            values.append(next(given))
        else:
            values.append(program.constants[str(spec.target)])
    with torch.no_grad():
        out = _Interpreter(program.graph_module, analysis, narrow, watch, injective).run(*pytree.tree_map(double, values))
    outputs = zip(program.graph_signature.output_specs, pytree.tree_leaves(out), strict=False)
    return list(tensors_of([x for spec, x in outputs if spec.kind is OutputKind.USER_OUTPUT]))


class _Interpreter(fx.Interpreter):
    def __init__(
        self,
        module: fx.GraphModule,
        analysis: Analysis,
        narrow: Gone | None,
        watch: Callable[[fx.Node, Any], None] | None,
        injective: bool,
    ) -> None:
        super().__init__(module)
        self.analysis, self.narrow, self.watch, self.injective = analysis, narrow, watch, injective
        self.norms = {j.node for j in analysis.labels.statistics} if narrow is not None else set()

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_function" and "assert" in str(n.target):
            return None
        value = self._narrowed(n) if n in self.norms else pytree.tree_map(double, super().run_node(n))
        if self.watch is not None:
            self.watch(n, value)
        return value

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(target, torch._ops.HigherOrderOperator):
            at = next(k for k, a in enumerate(args) if isinstance(a, fx.GraphModule))
            return _Interpreter(args[at], self.analysis, self.narrow, self.watch, self.injective).run(*args[at + 1 :])
        args, kwargs = pytree.tree_map(double, (args, kwargs))
        name = getattr(target, "_opname", "")
        if self.injective and name.rstrip("_") in _FLAT:
            line = target(torch.zeros_like(args[0]), *args[1:], **kwargs) + 1.37 * args[0]
            return args[0].copy_(line) if name.endswith("_") else line
        return in_double(name, target)(*args, **kwargs)

    def _narrowed(self, n: fx.Node) -> Any:
        """A norm over the units that are left, with zeros for the others."""
        assert self.narrow is not None
        a, gone, p = self.analysis, self.narrow, self.analysis.labels

        def small(x: fx.Node) -> Any:
            value = self.env[x]
            for dim, labels in enumerate(p.dims.get(x) or ()) if isinstance(value, Tensor) else ():
                value = _picked(value, dim, labels, a, gone)
            return value

        args, kwargs = fx.node.map_arg((n.args, n.kwargs), small)
        args = self._sizes(n, args)
        out = self.call_function(n.target, args, kwargs)
        dims = p.dims[n]
        if isinstance(out, Tensor):
            return _spread(out, dims, a.labels.shape(n), a, gone)
        return [_spread(x, d, tuple(v.shape), a, gone) for x, d, v in zip(out, dims, n.meta["val"], strict=True)]

    def _sizes(self, n: fx.Node, args: tuple[Any, ...]) -> tuple[Any, ...]:
        name = getattr(n.target, "_opname", "")
        if name in ("layer_norm", "rms_norm", "native_layer_norm", "_fused_rms_norm"):
            return (args[0], list(args[0].shape[-len(args[1]) :]), *args[2:])
        if name == "group_norm":
            x = n.args[0]
            assert self.narrow is not None
            assert isinstance(x, fx.Node)
            labels, size = self.analysis.labels.dims[x][1], self.analysis.labels.shape(x)[1]
            if not isinstance(labels, int):
                whole = reshape(self.analysis.labels.atoms, [labels], [size], [args[1], size // args[1]])[0]
                return (args[0], len(self.analysis.keep(whole, args[1], self.narrow)), *args[2:])
        return args


def _picked(value: Tensor, dim: int, labels: Labels, a: Analysis, gone: Gone) -> Tensor:
    keep = a.keep(labels, value.shape[dim], gone) if not isinstance(labels, int) else None
    if keep is None or len(keep) == value.shape[dim]:
        return value
    return value.index_select(dim, torch.from_numpy(keep).to(value.device))


def _spread(value: Tensor, dims: Any, shape: tuple[int, ...], a: Analysis, gone: Gone) -> Tensor:
    for dim, labels in enumerate(dims):
        if not isinstance(labels, int) and value.shape[dim] != shape[dim]:
            full = value.new_zeros([*value.shape[:dim], shape[dim], *value.shape[dim + 1 :]])
            keep = torch.from_numpy(a.keep(labels, shape[dim], gone)).to(value.device)
            value = full.index_copy_(dim, keep, value)
    return value
