"""The sharer: a pruner's cousin, which tunes shared values in your own loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .codec.quantise import Share, nearest, on_grid
from .core.errors import DataError, ModelError
from .core.layers import unwrap
from .core.statistics import Loss
from .core.surgery import inner_optimizer

__all__ = ["Sharer"]


class Sharer:
    """Shares a model's weights, and keeps them shared while your loop trains: the gradient of a shared value is a sum.

    With w_i = c_I(i) and assignments I that stay, ∂L/∂c_k = Σ_i ∂L/∂w_i · 1[I(i) = k]. Each weight's gradient is replaced by
    its value's, so any optimizer moves the weights of a value alike; ``step`` removes what rounding leaves between them.
    Weights that are zero stay zero, in layers that are not shared too.
    The model's class, ``state_dict`` keys and ``forward`` are not touched.

    Args:
        model: pruned and trained; its parameters are shared in place. ``torch.compile`` and data-parallel wrappers are looked
            through.
        share: which layers get how many values.
        optimizer: whose every step is followed by ``step()``, for loops one does not own; see ``attach``.
        data: training batches, for values on a grid: (inputs, labels), or mappings.
        loss: ``loss(model, batch)`` for data of another form.

    Raises:
        ModelError: nothing to share, or a weight that is no finite number.
        DataError: values on a grid, and no data.

    Example:
        >>> from secateur.codec.quantise import Share
        >>> model = nn.Linear(4, 1, bias=False)
        >>> _ = model.weight.data.copy_(torch.tensor([[0.0, 1.0, 2.0, 9.0]]))
        >>> sharer = Sharer(model, Share(linear=1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        >>> model(torch.tensor([[1.0, 1.0, 2.0, 1.0]])).sum().backward()  # the gradients of 1.5 add up to 3
        >>> optimizer.step(); sharer.step()
        >>> model.weight.tolist()
        [[0.0, 0.0, 0.0, 8.5]]

    Source: S. Han, H. Mao, W. Dally, "Deep Compression", 2016 (arXiv:1510.00149), section 3.3.
    """

    def __init__(
        self,
        model: nn.Module,
        share: Share,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(f"model must be a torch.nn.Module; got {type(model).__name__}")
        self.model, self.share, self.t = unwrap(model), share, 0
        self._members: dict[str, _Members] = {}
        self._hook: Any = None
        self._handles: list[RemovableHandle] = []
        if share.values == "grid":
            books: dict[str, tuple[Tensor, Tensor | None]] = {n: (p, None) for n, p in self._on_grid(data, loss).items()}
        else:
            books = {n: (p, share.codebook(n, p)) for n, p in self.model.named_parameters() if share.bits(n, p)}
        if not books:
            raise ModelError(
                f"no parameter of this {type(self.model).__name__} is shared; give conv, linear, vectors or layers bits"
            )
        for name, (parameter, codebook) in books.items():
            self._members[name] = _Members.of(parameter, codebook)
        self._zeros = self._find_zeros()
        self.apply()
        self._listen()
        if optimizer is not None:
            self.attach(optimizer)

    # ---------------------------------------------------------------- driving it

    def step(self) -> None:
        """Call after ``optimizer.step()``: the weights of a value are equal again to the last bit, and zeros zero."""
        self.t += 1
        self.apply()

    def attach(self, optimizer: torch.optim.Optimizer) -> Sharer:
        """Call ``step()`` after every step of this optimizer from now on, for loops one does not own."""
        if self._hook is not None:
            self._hook.remove()
        self._hook = inner_optimizer(optimizer).register_step_post_hook(lambda *_: self.step())
        return self

    def watch(self, optimizer: torch.optim.Optimizer) -> Sharer:
        """What a loop says to a pruner; the sums are formed in the backward pass, so there is nothing to do."""
        return self

    def penalty(self) -> float:
        """What a loop adds to its loss for a pruner: nothing here."""
        return 0.0

    @torch.no_grad()
    def apply(self) -> None:
        """Give all weights of a value what its first weight has, and zero to those without a value."""
        for name, members in self._members.items():
            parameter = self.model.get_parameter(name)
            members.to(parameter.device)
            parameter.copy_(members.spread(members.values(parameter), parameter))
        for name, zeros in self._zeros.items():
            parameter = self.model.get_parameter(name)
            self._zeros[name] = zeros.to(parameter.device)
            parameter.masked_fill_(self._zeros[name], 0)

    def finish(self) -> nn.Module:
        """Take the hooks off; the plain model, whose weights are shared."""
        for handle in (*self._handles, *(() if self._hook is None else (self._hook,))):
            handle.remove()
        self._handles, self._hook = [], None
        return self.model

    # ---------------------------------------------------------------- looking at it

    @property
    def codebooks(self) -> dict[str, Tensor]:
        """Parameter name → its shared values as they are now, in the order of their indices."""
        found = {n: m.values(self.model.get_parameter(n)).detach() for n, m in self._members.items()}
        return {n: v.clone() for n, v in found.items() if v.numel()}

    # ---------------------------------------------------------------- keeping it

    def state_dict(self) -> dict[str, Any]:
        """Which weight has which value: plain values and tensors; the values themselves are in the model's weights."""
        members = {n: {"positions": m.positions.clone(), "indices": m.indices.clone()} for n, m in self._members.items()}
        return {"share": self.share.to_dict(), "t": self.t, "members": members}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; the model's weights are loaded by you, before this.

        Raises:
            ModelError: the state is of another model or sharing, or no state at all.
        """
        if not {"share", "t", "members"} <= set(state):
            raise ModelError("this is no state of a sharer: pass what sharer.state_dict() gave")
        if Share.from_dict(state["share"]) != self.share:
            raise ModelError(f"this state is of another sharing: {state['share']}; this sharer has {self.share.to_dict()}")
        fits = set(state["members"]) == set(self._members) and all(
            m["positions"].numel() == 0 or int(m["positions"].max()) < self.model.get_parameter(n).numel()
            for n, m in state["members"].items()
        )
        if not fits:
            raise ModelError(f"this state is of another model: it shares {', '.join(state['members'])}; this one has "
                             f"{', '.join(self._members)}")  # fmt: skip
        self._members = {n: _Members(m["positions"].clone(), m["indices"].clone()) for n, m in state["members"].items()}
        self.t, self._zeros = state["t"], self._find_zeros()
        self.apply()

    # ---------------------------------------------------------------- how it works

    def _on_grid(self, data: Iterable[Any] | None, loss: Loss | None) -> dict[str, nn.Parameter]:
        """The parameters that lie on a grid now."""
        if data is None:
            raise DataError("values 'grid' rounds layers with their inputs in sight; pass Sharer(..., data=batches)")
        assert self.share.rate is not None
        most = {n: 2 ** (b - 1) for n, p in self.model.named_parameters() if (b := self.share.bits(n, p))}
        found = on_grid(self.model, most, data, rate=self.share.rate, damping=self.share.damping, loss=loss) if most else {}
        for name, value in found.items():
            with torch.no_grad():
                self.model.get_parameter(name).copy_(value)
        return {n: self.model.get_parameter(n) for n in found}

    def _find_zeros(self) -> dict[str, Tensor]:
        """What is pruned of the weights that are not shared; a vector's zeros are no pruned weights."""
        left = {n: p for n, p in self.model.named_parameters() if n not in self._members and p.ndim > 1}
        return {n: zeros for n, p in left.items() if bool((zeros := p.detach() == 0).any())}

    def _listen(self) -> None:
        for name in self._members:
            parameter = self.model.get_parameter(name)
            if parameter.requires_grad:

                def summed(gradient: Tensor, name: str = name) -> Tensor:
                    members = self._members[name]
                    members.to(gradient.device)
                    return members.spread(members.sums(gradient), gradient)

                self._handles.append(parameter.register_hook(summed))  # type: ignore[no-untyped-call]


class _Members:
    """Which weights are left, flat and in row-major order, and the index of each one's value."""

    def __init__(self, positions: Tensor, indices: Tensor) -> None:
        self.positions, self.indices = positions, indices
        # values that no weight has need no place
        used, self._dense = torch.unique(indices, return_inverse=True)
        self._count = used.numel()
        order = torch.argsort(self._dense, stable=True)
        starts = torch.searchsorted(self._dense[order].contiguous(), torch.arange(self._count, device=order.device))
        self._first = positions[order[starts]]

    @classmethod
    def of(cls, parameter: Tensor, codebook: Tensor | None) -> _Members:
        """The assignments of a tensor, whose weights take their values; without a codebook those that are there."""
        positions = torch.nonzero(parameter.detach().reshape(-1), as_tuple=True)[0]
        left = parameter.detach().reshape(-1)[positions]
        if codebook is None:
            codebook = torch.unique(left).double()
        indices = nearest(left, codebook)
        with torch.no_grad():
            shared = codebook.to(left.device)[indices.long()].to(left.dtype)
            parameter.copy_(torch.zeros_like(parameter).reshape(-1).index_copy_(0, positions, shared).view(parameter.shape))
        return cls(positions, indices)

    def to(self, device: torch.device) -> None:
        """Follow the parameter to its device."""
        if self.positions.device != device:
            self.positions, self.indices = self.positions.to(device), self.indices.to(device)
            self._dense, self._first = self._dense.to(device), self._first.to(device)

    def values(self, tensor: Tensor) -> Tensor:
        """What each value's first weight has."""
        return tensor.reshape(-1)[self._first]

    def sums(self, gradient: Tensor) -> Tensor:
        """Σ over the weights of each value."""
        taken = gradient.reshape(-1)[self.positions]
        wide = taken.double() if taken.device.type == "cpu" else taken.float()
        return wide.new_zeros(self._count).index_add_(0, self._dense, wide).to(gradient.dtype)

    def spread(self, values: Tensor, like: Tensor) -> Tensor:
        """A tensor with each value at its weights, and zeros elsewhere."""
        flat = torch.zeros(like.numel(), dtype=like.dtype, device=like.device)
        return flat.index_copy_(0, self.positions, values[self._dense]).view(like.shape)
