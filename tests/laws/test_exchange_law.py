"""Exchanges keep every layer's number at every step, repeat to the bit, resume to the bit, and are alike on all ranks."""

from __future__ import annotations

import copy
import io
import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe
from secateur.allocation import Global, Uniform
from secateur.schedule import DropGrow, OneShot
from secateur.score import Magnitude, Random
from secateur.testing import small_batches, small_model

MANY = small_batches(12)


def run(schedule, batches, *, allocation=None, score=None, early=True, said=None, start=None):
    """Train the small model (two convolutions with batch norm) and tell every step's masks."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    recipe = Recipe(allocation=allocation or Uniform(), score=score or Magnitude(), schedule=schedule)
    pruner = Pruner(model, recipe, optimizer=optimizer)
    if start is not None:
        model.load_state_dict(start["model"])
        optimizer.load_state_dict(start["optimizer"])
        pruner.load_state_dict(start["pruner"])
    elif early:
        pruner.prune()
    for x, y in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        pruner.step()
        if said is not None:
            said(model, pruner)
    return model, optimizer, pruner


@settings(max_examples=25)
@given(
    st.floats(0, 0.99), st.integers(0, 3), st.integers(1, 4), st.floats(0.01, 1), st.sampled_from(["cosine", "constant"]),
    st.sampled_from(["gradient", "random"]), st.booleans(), st.sampled_from([Uniform(), Global()]), st.booleans(),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:pruning emptied the layer")
def test_no_layer_ever_has_another_number(sparsity, begin, every, fraction, decay, grow, draws, allocation, early):
    schedule = DropGrow(
        sparsity=sparsity, begin=begin, end=11, every=every, fraction=fraction, decay=decay, grow=grow, new_scale=0.1 * draws
    )
    counts, masks = [], []

    def said(model, pruner):
        if pruner.masks:
            counts.append({n: int(m.sum()) for n, m in pruner.masks.items()})
            masks.append({n: m.clone() for n, m in pruner.masks.items()})
        for name, mask in pruner.masks.items():
            assert not bool(model.get_parameter(name)[~mask].any())

    _, _, pruner = run(schedule, MANY, allocation=allocation, early=early, said=said)
    assert len(counts) >= 12 - max(begin, 1)
    assert all(c == counts[0] for c in counts)
    total = {n: pruner.model.get_parameter(n).numel() for n in counts[0]}
    if allocation == Uniform():
        assert counts[0] == {n: size - round(sparsity * size) for n, size in total.items()}
    assert sum(counts[0].values()) == pytest.approx((1 - sparsity) * sum(total.values()), abs=2)
    moved = [sum(int((m & ~a[n]).sum()) for n, m in b.items()) for a, b in itertools.pairwise(masks)]
    at_most = sum(round(fraction * c) for c in counts[0].values())
    assert max(moved) <= at_most


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_weights_do_come_back_so_masks_do_not_nest(grow):
    seen = []
    run(DropGrow(sparsity=0.8, end=11, every=2, grow=grow), MANY, said=lambda _, p: seen.append(p.masks["3.weight"].clone()))
    ever = torch.stack(seen).any(0)
    assert int(ever.sum()) > int(seen[0].sum())
    gone_and_back = [(seen[i] & ~seen[j] & seen[k]).any() for i in range(3) for j in range(3, 8) for k in range(8, 12)]
    assert any(gone_and_back)


@pytest.mark.parametrize("grow", ["gradient", "random"])
@pytest.mark.parametrize("score", [Magnitude(), Random(seed=3)], ids=repr)
def test_the_same_again(grow, score):
    schedule = DropGrow(sparsity=0.8, end=11, every=2, grow=grow, new_scale=0.1, seed=4)
    found = []
    for stir in (1, 2):
        torch.manual_seed(stir)  # the global generator has no say, and is left alone
        model, _, pruner = run(schedule, MANY, score=score)
        found.append({**model.state_dict(), **{f"mask {n}": m for n, m in pruner.masks.items()}})
    assert all(torch.equal(v, found[1][n]) for n, v in found[0].items())


def test_the_first_mask_is_that_of_the_static_control():
    """Random, Uniform and OneShot draw the same lot: the control differs by the exchanges alone."""
    moving = Pruner(small_model(), Recipe(allocation=Uniform(), schedule=DropGrow(sparsity=0.9, seed=7))).prune()
    static = Pruner(small_model(), Recipe(allocation=Uniform(), score=Random(seed=7), schedule=OneShot(sparsity=0.9))).prune()
    assert all(torch.equal(m, static.masks[n]) for n, m in moving.masks.items())


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("grow", ["gradient", "random"])
@pytest.mark.parametrize("stop", [1, 2, 3, 5, 11])
def test_resuming_changes_no_bit(grow, stop, early):
    schedule = DropGrow(sparsity=0.8, end=11, every=2, grow=grow, new_scale=0.1)
    whole = run(schedule, MANY, early=early)
    model, optimizer, pruner = run(schedule, MANY[:stop], early=early)
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "pruner": pruner.state_dict()}, buffer)
    buffer.seek(0)
    resumed = run(schedule, MANY[stop:], start=torch.load(buffer, weights_only=True))
    assert all(torch.equal(v, resumed[0].state_dict()[n]) for n, v in whole[0].state_dict().items())
    assert all(torch.equal(m, resumed[2].masks[n]) for n, m in whole[2].masks.items())
    assert (whole[2].t, whole[2].events) == (resumed[2].t, resumed[2].events) == (12, 6)


def test_a_copy_goes_on_alike():
    model, optimizer, pruner = run(DropGrow(sparsity=0.8, end=30, every=2), MANY)
    twins = [(model, optimizer, pruner), copy.deepcopy((model, optimizer, pruner))]
    for m, o, p in twins:
        for x, y in MANY:
            o.zero_grad()
            nn.functional.cross_entropy(m(x), y).backward()
            o.step()
            p.step()
    assert twins[0][2].masks["0.weight"] is not twins[1][2].masks["0.weight"]
    assert all(torch.equal(v, twins[1][0].state_dict()[n]) for n, v in model.state_dict().items())


# ---------------------------------------------------------------- ranks


def of_a_rank(rank: int, grow: str) -> dict[str, torch.Tensor]:
    """Masks after exchanges in which every rank has gradients of its own."""
    model = nn.Linear(40, 30, bias=False)
    nn.init.normal_(model.weight, generator=torch.Generator().manual_seed(5))
    recipe = Recipe(allocation=Uniform(), schedule=DropGrow(sparsity=0.8, end=6, every=2, grow=grow, new_scale=0.1))
    pruner = Pruner(model, recipe).prune()
    found = {}
    for t in range(5):
        model.weight.grad = torch.randn(30, 40, generator=torch.Generator().manual_seed(10 * t + rank))
        pruner.step()
        found[f"{t}"], found[f"weight {t}"] = pruner.masks["weight"], model.weight.detach().clone()
    return found


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_two_ranks_exchange_alike(grow, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, str(Path(__file__)), str(tmp_path), grow]
    ranks = [
        subprocess.Popen(command, env={**shared, "RANK": str(r)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for r in range(2)
    ]
    for process in ranks:
        said, _ = process.communicate(timeout=150)
        assert process.returncode == 0, said[-3000:]
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in range(2))
    assert all(torch.equal(v, second[n]) for n, v in first.items())
    alone = of_a_rank(0, grow)
    assert all(torch.equal(v, alone[n]) for n, v in first.items()) == (grow == "random"), "both ranks' gradients count"


def main() -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    torch.save(of_a_rank(rank, sys.argv[2]), Path(sys.argv[1]) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
