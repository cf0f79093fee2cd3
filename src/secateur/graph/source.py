"""Where in the user's source an operation of the graph comes from."""

from __future__ import annotations

import os
import re
import sys
from pathlib import PurePath
from types import FrameType

import torch
from torch import fx

__all__ = ["here", "operation", "place"]

_TORCH = f"{PurePath(torch.__file__).parent}{os.sep}"
_OWN = f"{PurePath(__file__).parent}{os.sep}"
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


def here() -> str:
    """``file.py:line`` of the line of forward that is running, PyTorch's left out; empty when it is all PyTorch's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    while frame is not None and not frame.f_code.co_filename.startswith(_OWN):  # what called forward
        file = frame.f_code.co_filename
        if not file.startswith((_TORCH, "<")):
            return f"{PurePath(file).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
