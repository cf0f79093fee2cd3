from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from secateur.core.flow import read_flow
from secateur.testing import small_model


class Net(nn.Module):
    """Holds layers; each test says how they are joined."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._how = forward

    def forward(self, x):
        return self._how(self, x)


def lin(i=4, o=4):
    return nn.Linear(i, o)


def test_a_plain_chain():
    flow = read_flow(small_model())
    assert flow.classifier == {"10.weight"}
    assert flow.norm_after == {"0": "1", "3": "4"}
    assert flow.next_layer == {"0": "3", "3": "8", "8": "10"}


def test_the_classifier_is_what_gives_the_output_not_what_is_defined_last():
    net = Net(lambda s, x: s.head(s.body(x)), head=lin(), body=lin())
    assert read_flow(net).classifier == {"head.weight"}
    two = Net(lambda s, x: (s.a(h := s.body(x)), s.b(h)), body=lin(), a=lin(), b=lin())
    assert read_flow(two).classifier == {"a.weight", "b.weight"}
    functional = Net(lambda s, x: F.linear(s.body(x), s.head.weight), head=lin(), body=lin())
    assert read_flow(functional).classifier == {"head.weight"}


def test_a_model_of_one_layer_has_no_classifier():
    assert read_flow(lin()).classifier == frozenset()
    assert read_flow(nn.Sequential(lin())).classifier == frozenset()


def test_a_model_that_cannot_be_traced_still_has_its_classifier():
    def forward(self, x):
        return self.b(self.a(x)) if x.sum() > 0 else self.b(x)

    flow = read_flow(Net(forward, a=lin(), norm=nn.BatchNorm1d(4), b=lin()))
    assert (flow.classifier, flow.norm_after, flow.next_layer) == ({"b.weight"}, {}, {})


def test_branches_are_not_joined_unit_by_unit():
    residual = Net(lambda s, x: s.c(s.b(h := s.a(x)) + h), a=lin(), b=lin(), c=lin())
    assert read_flow(residual).next_layer == {}
    grouped = Net(lambda s, x: s.b(s.a(x)), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 4, 1, groups=2))
    assert read_flow(grouped).next_layer == {}


def test_a_module_used_twice_is_nobodys_own():
    shared_norm = Net(
        lambda s, x: s.c(s.norm(s.b(s.norm(s.a(x))))), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4),
        c=nn.Conv2d(4, 2, 1),
    )  # fmt: skip
    assert read_flow(shared_norm).norm_after == {}
    twice = Net(lambda s, x: s.b(s.a(x)) + s.c(s.a(-x)), a=lin(), b=lin(), c=lin())
    assert read_flow(twice).next_layer == {}
    met = Net(lambda s, x: s.c(s.a(x)) + s.c(s.b(x)), a=lin(), b=lin(), c=lin())
    assert read_flow(met).next_layer == {}
    tied = Net(lambda s, x: s.d(s.c(s.b(s.a(x)))), a=lin(), b=lin(), c=lin(), d=lin())
    tied.b.weight = tied.c.weight
    assert read_flow(tied).next_layer == {}


def test_linear_layers_read_the_last_dimension():
    conv = nn.Conv1d(2, 4, 1)
    assert read_flow(Net(lambda s, x: s.b(s.a(x)), a=conv, b=lin(8, 2))).next_layer == {}
    assert read_flow(Net(lambda s, x: s.b(s.a(x).flatten(2)), a=nn.Conv2d(2, 4, 1), b=lin(8, 2))).next_layer == {}
    for flatten in (lambda x: x.flatten(1), lambda x: torch.flatten(x, start_dim=1), nn.Flatten()):
        net = Net(lambda s, x: s.b(s.flatten(s.a(x))), a=conv, b=lin(32, 2))
        net.flatten = flatten
        assert read_flow(net).next_layer == {"a": "b"}
    positions = Net(lambda s, x: s.b(s.a(x).flatten(1)), a=lin(4, 4), b=lin(12, 2))
    assert read_flow(positions).next_layer == {}


def test_dropouts_know_their_layer():
    net = nn.Sequential(lin(), nn.ReLU(), nn.Dropout(0.5), lin(), nn.Dropout(0.2), nn.ReLU(), lin())
    assert read_flow(net).layer_before_dropout == {"2": "0", "4": "3"}


class Storing(nn.Module):
    """Writes to itself, draws numbers and counts its calls in forward."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = lin(), lin(), nn.BatchNorm1d(4)
        self.last, self.seen, self.calls = None, [], 0
        self.register_buffer("total", torch.zeros(4))

    def forward(self, x):
        self.calls += 1
        self.last = self.norm(self.a(x + torch.rand(4)))
        self.seen.append(self.last)
        self.total += 1
        return self.b(self.last)


def test_tracing_does_not_touch_the_model_nor_the_generator():
    model = Storing()
    before = {n: v.clone() for n, v in model.state_dict().items()}
    identities = {n: id(v) for n, v in model.named_parameters()}
    generator = torch.random.get_rng_state()
    read_flow(model)
    assert (model.last, model.seen, model.calls) == (None, [], 0)
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert {n: id(v) for n, v in model.named_parameters()} == identities
    assert torch.equal(generator, torch.random.get_rng_state())


def test_a_model_that_has_run_is_traced_too():
    """Tensors it keeps from its last forward pass cannot be copied: the classifier is still found."""
    model = Storing()
    model(torch.randn(2, 4))
    assert read_flow(model).classifier == {"b.weight"}
    assert model.calls == 1
