"""A compiled model from a file: the same bits without trials; what it says of kernels is checked and no more than a hint."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import error, moved_, sparse_
from torch import nn

pytest.importorskip("llvmlite")

import secateur as sc
from secateur.core.errors import FormatError
from secateur.runtime import compile, tune
from secateur.runtime.kept import read_picks
from secateur.runtime.kernels.spmm.cpu import Shape
from secateur.runtime.kernels.spmm.steps import Choice

X = torch.randn(2, 8, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path / "cache"))


def make(seed=0):
    torch.manual_seed(seed)
    body = (nn.Conv2d(8, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 16, 1), nn.Flatten(), nn.Linear(2304, 5))
    return moved_(sparse_(nn.Sequential(*body), 0.7, seed), seed)


@pytest.mark.parametrize("write", [sc.save, sc.compress])
def test_the_same_bits_without_a_trial(write, tmp_path, monkeypatch):
    net = make()
    fast = compile(net, X, threads=1, seconds=5)
    write(net, tmp_path / "net.safetensors", metadata={"kernels": fast})
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr(tune, "trial", lambda *a: pytest.fail("it tried kernels"))
    plain = make(seed=1)
    before = copy.deepcopy(plain.state_dict())
    again = compile(plain, X, threads=1, file=tmp_path / "net.safetensors")
    assert torch.equal(again(X), fast(X))
    assert again.to_dict() == fast.to_dict()
    assert [(r.kernel, r.why) for r in again.report.layers] == [(r.kernel, r.why) for r in fast.report.layers]
    assert all(torch.equal(before[k], v) for k, v in plain.state_dict().items()), "the model given is as it was"


def test_a_file_without_choices_gives_its_weights(tmp_path):
    net = make()
    sc.compress(net, tmp_path / "net.safetensors")
    fast = compile(make(seed=1), X, threads=1, seconds=0, file=tmp_path / "net.safetensors")
    assert error(net, fast, X) < 1e-5


def test_a_shrunken_model(tmp_path):
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)).eval()
    x = torch.randn(4, 6)
    sc.shrink_(net, x, {"0": [1, 2, 5]})
    fast = compile(net, x, threads=1, seconds=1)
    sc.compress(net, tmp_path / "net.safetensors", metadata={"kernels": fast})
    plain = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
    again = compile(plain, x, threads=1, file=tmp_path / "net.safetensors")
    assert torch.equal(again(x), fast(x))
    assert plain[0].out_features == 20


def test_choices_for_other_vectors_are_made_anew(tmp_path):
    net = make()
    found = {**compile(net, X, threads=1, seconds=0).to_dict(), "vectors": "other"}
    sc.save(net, tmp_path / "net.safetensors", metadata={"kernels": found})
    assert read_picks(tmp_path / "net.safetensors", "avx2") == {}
    sc.save(net, tmp_path / "net.safetensors", metadata={"kernels": {**found, "version": 9}})
    assert read_picks(tmp_path / "net.safetensors", "other") == {}


numbers = st.lists(st.integers(0, 40), min_size=8, max_size=8)


@settings(max_examples=25, deadline=None)
@given(numbers)
def test_choices_that_do_not_fit_are_passed_over(found):
    """Whatever numbers a file has, kernels run only as this library itself would choose them, also for other batches."""
    net = make()
    name = next(op.name for op in compile(net, X, threads=1, seconds=0).graph.ops if op.kind == "conv")
    fast = compile(net, X, threads=1, seconds=0)
    fast.picks = {(name, b, 1): (Choice.of(found), "told") for b in (1, 2, 3)}
    fast._prepare()
    for batch in (1, 2, 3):
        assert error(net, fast, torch.randn(batch, 8, 12, 12)) < 1e-5


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "7", "{}", "null", '{"version": 1}', '{"version": 1, "vectors": "avx2", "choices": 3}',
        '{"version": 1, "vectors": "avx2", "choices": [[1, 2]]}',
        *(
            json.dumps({"version": 1, "vectors": "avx2", "choices": [row]})
            for row in (
                ["conv2d", 1, 1, [1, 1, 1, 1, 1, 1, 0], ""], ["conv2d", 1, 1, [1, 1, 1, 1, 1, 1, 0, -1], ""],
                ["conv2d", 1, 1, [1, 1, 1, 1, 1, 1, 0, 1 << 40], ""], ["conv2d", 1, 1, [1.5, 1, 1, 1, 1, 1, 0, 0], ""],
                ["conv2d", 0, 1, [1, 1, 1, 1, 1, 1, 0, 0], ""], ["conv2d", True, 1, [1, 1, 1, 1, 1, 1, 0, 0], ""],
                [3, 1, 1, [1, 1, 1, 1, 1, 1, 0, 0], ""], ["conv2d", 1, 1, "11111100", ""], ["conv2d", 1, 1, [1] * 8, None],
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_choice_is_told(text, tmp_path):
    sc.save(make(), tmp_path / "net.safetensors", metadata={"kernels": text})
    with pytest.raises(FormatError, match=r"net.safetensors says 'kernels' in its metadata, which is no choice of kernels"):
        compile(make(), X, file=tmp_path / "net.safetensors")


def test_a_damaged_file_is_told(tmp_path):
    path = sc.compress(make(), tmp_path / "net.safetensors", metadata={"kernels": compile(make(), X, seconds=0)})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"net\.safetensors"):
        compile(make(), X, file=path)
    with pytest.raises(FormatError, match="there is no file"):
        compile(make(), X, file=tmp_path / "nothing.safetensors")


def test_choices_as_numbers():
    choice = Choice(Shape(2, 1, 6, 4), 4, 3, True, True)
    assert Choice.of(choice.to_list()) == choice
