"""A newly made model becomes as small as the one in a file, or stays as it was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..core.errors import FormatError
from ..graph.cut import tensors
from ..graph.plan import Changes, reshape_
from ..graph.skip import skip_
from ..graph.slots import read

__all__ = ["shrink_to", "skip_blocks"]


def skip_blocks(model: nn.Module, blocks: Mapping[str, bool], *, strict: bool = True) -> None:
    """Take blocks out of a newly made model, as :func:`~secateur.graph.skip.skip_` does.

    Args:
        model: of the class that was saved.
        blocks: their names, and whether they gave a tuple back.
        strict: whether a block that the model does not have is an error; otherwise it is passed over.

    Raises:
        FormatError: there is no such block; without the name of the file.
    """
    for name, listed in blocks.items():
        owner, _, leaf = name.rpartition(".")
        parent = dict(model.named_modules()).get(owner)
        if isinstance(parent, nn.Sequential | nn.ModuleList) and leaf in parent._modules:
            skip_(model, {name: listed})
        elif strict:
            raise FormatError(f"holds another model: it skips the block {name!r}, which {type(model).__name__} does not have")


def shrink_to(
    model: nn.Module,
    integers: Changes,
    sizes: Mapping[str, tuple[int, ...]],
    hidden: Mapping[str, Tensor],
    *,
    strict: bool = True,
) -> None:
    """Give a model the integers, the sizes and the hidden buffers of a shrunken one; the state gets room, and no values.

    Args:
        model: of the class that was saved; parameters stay the same objects, so that tied ones stay tied.
        integers: slot → its value before and after.
        sizes: by name, the shapes that the model's tensors are to have.
        hidden: by name, buffers that are in no ``state_dict``.
        strict: whether a module that the model does not have is an error; otherwise it is passed over.

    Raises:
        FormatError: they do not fit the model, or one another; without the name of the file.
    """
    if not strict:
        modules = dict(model.named_modules())
        integers = {slot: change for slot, change in integers.items() if slot.module in modules}
        hidden = {name: value for name, value in hidden.items() if name.rpartition(".")[0] in modules}
    reshape_(model, integers)
    changed = set()
    for name, tensor in tensors(model).items():
        if name in sizes and tensor.shape != sizes[name]:
            tensor.grad = None
            tensor.data = torch.empty(sizes[name], dtype=tensor.dtype, device=tensor.device)
            changed.add(name)
    for name, value in hidden.items():
        _set_hidden(model, name, value)
    for name, entry in model.state_dict().items():
        if name in sizes and entry.shape != sizes[name]:
            raise FormatError(f"gives {name!r} another size, which is no parameter or buffer of {type(model).__name__}")
    _check_fields(model, changed)


def _set_hidden(model: nn.Module, name: str, value: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    try:
        module = model.get_submodule(path)
    except AttributeError as e:
        raise FormatError(f"holds another model: the one given has no module for the buffer {name!r}") from e
    buffer = module._buffers.get(leaf)
    if buffer is not None:
        buffer.data = value.to(buffer.device, copy=True)
        return
    if leaf not in module._buffers and hasattr(module, leaf):  # made in forward, by a class that first has something else there
        raise FormatError(f"holds another model: {name!r} is a buffer in the file and none in the model")
    device = next((t.device for t in tensors(model).values()), value.device)
    module.register_buffer(leaf, value.to(device, copy=True), persistent=False)


def _check_fields(model: nn.Module, changed: set[str]) -> None:
    """PyTorch's own modules say the same of their sizes as their tensors, where these are new."""
    from ..graph.solve import grouped_fields, torch_fields

    modules = {name.rpartition(".")[0] for name in changed}
    shapes = {n: tuple(t.shape) for n, t in tensors(model).items()}
    for slot, size in [*torch_fields(model, shapes), *grouped_fields(model)]:
        if slot.module in modules and read(model, slot) != size:
            raise FormatError(f"holds another model: {slot} is {read(model, slot)} and its tensors are made for {size}")
