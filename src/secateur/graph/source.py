"""Where in the user's source an operation of the graph comes from."""

from __future__ import annotations

import re
from pathlib import PurePath

import torch
from torch import fx

__all__ = ["operation", "place"]

_TORCH = str(PurePath(torch.__file__).parent)
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')


def operation(node: fx.Node) -> str:
    """The operation's name as PyTorch prints it, e.g. ``aten.add``; the overload left out."""
    target = str(node.target)
    return target.rsplit(".", 1)[0] if target.count(".") > 1 else target


def place(node: fx.Node) -> str:
    """``file.py:line`` of the innermost line that is not PyTorch's own; else the name of the module."""
    frames = _FRAME.findall(str(node.meta.get("stack_trace") or ""))
    own = [(file, line) for file, line in frames if not file.startswith(_TORCH)]
    if own:
        return f"{PurePath(own[-1][0]).name}:{own[-1][1]}"
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return f"module {stack[-1][0]}" if stack and stack[-1][0] else ""
