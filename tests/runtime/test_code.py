"""Kernels for every kind of CPU are valid code that keeps its sums in registers; machine code on disk is what was written."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("llvmlite")

from secateur.runtime import cache
from secateur.runtime.ir import Function
from secateur.runtime.jit import addresses, assembly, object_code
from secateur.runtime.kernels.attention.cpu import module as attention
from secateur.runtime.kernels.depthwise.cpu import module as depthwise
from secateur.runtime.kernels.gemv.cpu import module as gemv
from secateur.runtime.kernels.layer_norm.cpu import module as layer_norm
from secateur.runtime.kernels.mean.cpu import module as mean
from secateur.runtime.kernels.pointwise.cpu import module as pointwise
from secateur.runtime.kernels.pointwise.functions import FUNCTIONS
from secateur.runtime.kernels.pool.cpu import module as pool
from secateur.runtime.kernels.pool.strided import module as strided
from secateur.runtime.kernels.repack.cpu import module as repack
from secateur.runtime.kernels.run.cpu import module as run
from secateur.runtime.kernels.spmm.cpu import Shape
from secateur.runtime.kernels.spmm.cpu import module as spmm
from secateur.runtime.target import TARGETS, host

SHAPES = {
    "avx2": [
        Shape(1, 1, 12),
        Shape(2, 1, 6),
        Shape(4, 1, 3),
        Shape(1, 4, 3),
        Shape(1, 6, 2),
        Shape(2, 1, 6, 4),
        Shape(1, 4, 3, 4),
    ],
    "avx512": [Shape(1, 1, 12), Shape(2, 1, 12), Shape(4, 1, 6), Shape(1, 6, 4), Shape(1, 8, 3)],
    "neon": [Shape(1, 1, 24), Shape(2, 1, 12), Shape(1, 6, 4), Shape(1, 8, 3)],
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_layers_keep_their_sums_in_registers(name):
    target = TARGETS[name]
    for shape in SHAPES[name]:
        assert shape.fits(target)
        code = assembly(spmm(target, shape), target)
        inner = _inner_loop(code, "fmla" if name == "neon" else "vfmadd")
        assert sum("fmla" in line or "vfmadd" in line for line in inner) == shape.sums * shape.columns, shape
        assert not any("rsp" in line or "[sp" in line for line in inner), shape


def _inner_loop(code: str, multiply: str) -> list[str]:
    """The lines between the label and the jump around the multiplications."""
    lines = code.splitlines()
    at = next(i for i, line in enumerate(lines) if multiply in line)
    start = max(i for i in range(at) if lines[i].startswith(".L"))
    end = next(i for i in range(at, len(lines)) if lines[i].startswith(".L"))
    return lines[start:end]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_all_other_kernels_are_valid_code(name):
    target = TARGETS[name]
    texts = [run(target), gemv(target), mean(target, 3), layer_norm(target, 4)]
    texts += [attention(target, 2, m, c) for m in (False, True) for c in (False, True)]
    texts += [depthwise(target, 5, ((0, -1), (0, 0), (1, 1)), k) for k in ("", "silu")]
    texts += [repack(target, 1, False, True)]
    texts += [repack(target, s, b) for s, b in ((0, False), (1, False), (2, False), (2, True))]
    texts += [m(target, *a) for k in ("max", "avg") for m, a in ((pool, (3, k)), (strided, (k, 2)), (strided, (k, 1)))]
    texts += [pointwise(target, 2, k) for k in ("add", "clamp", *FUNCTIONS)]
    for text in texts:
        assert "ret" in assembly(text, target)


def test_a_machine_with_wider_vectors_can_be_held_to_avx2():
    if host().name == "neon":
        pytest.skip("not an x86")
    assert host("avx2").width == 8


# ---------------------------------------------------------------- on disk

TEXT = Function("i64 @answer()")
TEXT.run("ret i64 42")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path))
    cache.keep("probe", b"code")
    return tmp_path / "kernels"


def test_code_is_compiled_once(folder):
    code = object_code(TEXT.text(), host())
    assert len(list(folder.iterdir())) == 2
    assert object_code(TEXT.text(), host()) == code
    assert addresses(TEXT.text(), host(), ("answer",))["answer"]


def test_only_what_was_written_is_read(folder):
    assert cache.fetch("probe") == b"code"
    assert cache.fetch("other") is None
    file = folder / "probe"
    whole = file.read_bytes()
    for broken in (b"", whole[:10], whole[:-1], whole + b"x", whole[:-1] + b"X", b"x" * len(whole)):
        file.write_bytes(broken)
        assert cache.fetch("probe") is None
    (folder / "renamed").write_bytes(whole)
    assert cache.fetch("renamed") is None, "under another key"
    cache.keep("probe", b"code")
    assert cache.fetch("probe") == b"code"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners")
def test_what_others_could_have_written_is_not_read(folder):
    file = folder / "probe"
    file.chmod(0o666)
    assert cache.fetch("probe") is None
    file.chmod(0o600)
    assert cache.fetch("probe") == b"code"
    folder.chmod(0o777)
    assert cache.fetch("probe") is None
    cache.keep("late", b"code")
    assert not (folder / "late").exists()
    folder.chmod(0o700)
    file.rename(folder / "real")
    file.symlink_to(folder / "real")
    assert cache.fetch("probe") is None, "a link"


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path / "file"))
    cache.keep("key", b"code")
    assert cache.fetch("key") is None
    assert object_code(TEXT.text(), host())
