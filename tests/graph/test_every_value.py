"""The rules, one by one and on numbers: with a unit zeroed, every value of the graph is zero where its labels say so."""

from __future__ import annotations

from typing import Any

import nets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_families import FAMILIES
from test_oracle import MODELS
from test_random_nets import PIECES, WIDTHS
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from secateur.graph.collect import _entries, _kinds
from secateur.graph.groups import tied_names
from secateur.graph.propagate import Propagation
from secateur.graph.trace import split_inputs, trace

pytestmark = pytest.mark.filterwarnings("ignore")


class Watched(fx.Interpreter):
    """Keeps every value."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)


def run(program: torch.export.ExportedProgram, state: dict[str, Tensor], inputs: Any) -> dict[fx.Node, Any]:
    specs = program.graph_signature.input_specs
    given = iter(pytree.tree_leaves(split_inputs(inputs)))
    constants = {**program.constants, **state}
    feed = [constants[s.target] if s.target in constants else next(given) for s in specs]
    watched = Watched(program.graph_module)
    with torch.no_grad():
        watched.run(*feed)
    return watched.env


def check(model: nn.Module, inputs: Any, units: int = 1) -> int:
    """How many labelled dimensions were found zero where an atom is gone."""
    tied = tied_names(model)
    program = trace(model, inputs)
    p = Propagation(program, tied)
    dense = {
        n: t.detach() for n, t in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    }
    checked = 0
    for atoms in free_atoms(p):
        for gone in atoms[:units]:
            state = dict(dense)
            for name, dims in p.parameters.items():
                for k, labels in enumerate(dims):
                    own = [] if isinstance(labels, int) else owned(p, labels, gone)
                    if len(own):
                        zeroed = state[name].clone().index_fill_(k, torch.from_numpy(own), 0.0)
                        state |= {alias: zeroed for alias, first in tied.items() if first == name}
            for node, value in run(program, state, inputs).items():
                checked += zeros(p, node, value, gone) if isinstance(value, Tensor) and value.is_floating_point() else 0
    return checked


def free_atoms(p: Propagation) -> list[np.ndarray]:
    """The atoms of each kind that may be removed, several of a kind or not."""
    table = _entries(p, [labels for dims in p.parameters.values() for labels in dims if not isinstance(labels, int)])
    kinds = _kinds(p, table)
    atoms = np.unique(table[:, 0])
    atoms = atoms[p.atoms.reasons(atoms) == 0]
    return [atoms[kinds[atoms] == kind] for kind in np.unique(kinds[atoms])]


def owned(p: Propagation, labels: np.ndarray, gone: int) -> np.ndarray:
    return (p.atoms.resolve(labels) == gone).any(axis=1).nonzero()[0]


def zeros(p: Propagation, node: fx.Node, value: Tensor, gone: int) -> int:
    count = 0
    for k, labels in enumerate(p.dims.get(node) or []):
        if isinstance(labels, int) or id(labels) in p.nonzero:
            continue
        assert len(labels) == value.shape[k], node
        removed = owned(p, labels, gone)
        if len(removed):
            count += 1
            part = value.index_select(k, torch.from_numpy(removed))
            assert not part.count_nonzero(), (node.format_node(), k)
    return count


@pytest.mark.parametrize("name", MODELS)
def test_of_small_networks(name: str) -> None:
    make, x, _ = MODELS[name]
    assert check(nets.built(make, x), x, units=2) > 5


@pytest.mark.parametrize("name", FAMILIES)
def test_of_transformers(name: str) -> None:
    make, inputs, _ = FAMILIES[name]
    torch.manual_seed(0)
    assert check(nets.randomise(make()), inputs) > 20


@settings(max_examples=15)
@given(WIDTHS, st.lists(st.sampled_from(list(PIECES)), min_size=1, max_size=6))
def test_of_random_networks(n: int, names: list[str]) -> None:
    net = nets.randomise(nn.Sequential(nn.Conv2d(2, n, 1), *(PIECES[name](n) for name in names), nn.Conv2d(n, 2, 3)))
    check(net, nets.images(3, 2), units=n)
