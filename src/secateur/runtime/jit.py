"""IR to functions that can be called: compiled for this CPU, or taken from the cache."""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from typing import Any

from ..core.errors import require
from . import cache as disk
from .target import Target

__all__ = ["addresses", "assembly", "object_code"]

_lock = threading.Lock()
_loaded: dict[tuple[str, Target], tuple[Any, dict[str, int]]] = {}  # engines are never freed: jobs hold their addresses


@cache
def _llvm() -> Any:
    llvm = require("llvmlite.binding", "cpu")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm


def _machine(target: Target, model: str) -> Any:
    return _llvm().Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, codemodel=model
    )  # fmt: skip


def assembly(ir: str, target: Target) -> str:
    """The assembly of a module for any target, also one that this machine cannot run."""
    module = _llvm().parse_assembly(ir)
    module.verify()
    return str(_machine(target, "default").emit_assembly(module))


def object_code(ir: str, target: Target) -> bytes:
    """The object file of a module, from the cache or compiled into it."""
    llvm = _llvm()
    version = ".".join(map(str, llvm.llvm_version_info))
    key = hashlib.sha256("\0".join((ir, target.triple, target.cpu, target.features, version)).encode()).hexdigest()
    code = disk.fetch(key)
    if code is None:
        module = llvm.parse_assembly(ir)
        module.verify()
        code = bytes(_machine(target, "jitdefault").emit_object(module))
        disk.keep(key, code)
    return code


def addresses(ir: str, target: Target, names: tuple[str, ...]) -> dict[str, int]:
    """Addresses of functions of a module, compiled at most once a process.

    Args:
        ir: the module.
        target: of this machine.
        names: functions it defines.
    """
    with _lock:
        if (ir, target) not in _loaded:
            llvm = _llvm()
            code = object_code(ir, target)
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(target, "jitdefault"))
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            engine.finalize_object()
            _loaded[ir, target] = engine, {n: engine.get_function_address(n) for n in names}
        return _loaded[ir, target][1]
