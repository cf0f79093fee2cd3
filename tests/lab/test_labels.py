"""Names of runs in a report: the same name never stands for two things."""

from __future__ import annotations

from secateur.lab import Experiment, Outcome, comparison
from secateur.lab.labels import labels
from secateur.training import Training

SOME = [
    Experiment(method="random", method_arguments={"epochs": e}, compression=c, seed=s)
    for e in (1.0, 5.0)
    for c in (2.0, 4.0)
    for s in (0, 1)
]


def test_one_way_has_the_plain_name() -> None:
    found = labels([*SOME[:4], SOME[0].dense()])
    assert {x.method for x in found.values()} == {"random", "dense"}
    assert {x.model for x in found.values()} == {"digits_mlp"}


def test_two_ways_at_one_compression_are_two_methods() -> None:
    found = labels(SOME)
    assert [found[e.id].method for e in SOME] == ["random, epochs 1"] * 4 + ["random, epochs 5"] * 4


def test_networks_trained_differently_are_two_networks() -> None:
    longer = Experiment(training=Training(epochs=30.0))
    found = labels([Experiment(), longer, SOME[0]])
    assert {found[Experiment().id].model, found[longer.id].model} == {"digits_mlp, epochs 10", "digits_mlp, epochs 30"}
    assert found[SOME[0].id].model == found[Experiment().id].model


def test_rounds_of_one_method_that_reach_further_each_keep_its_name() -> None:
    third = Experiment(method="lottery_ticket", method_arguments={"rounds": 3})
    second = third.follows()
    assert second is not None
    found = labels([second, third], {second.id: 1.5, third.id: 1.9})
    assert {x.method for x in found.values()} == {"lottery_ticket"}
    apart = labels([second, third], {second.id: 1.9, third.id: 1.9})
    assert len({x.method for x in apart.values()}) == 2


def test_a_control_stays_a_control_under_a_longer_name() -> None:
    points = comparison([Outcome(e, error="lost") for e in SOME], ".", title="t").points
    assert all(p.control for p in points)
    assert len({(p.method, p.target_compression, p.seed) for p in points}) == len(SOME)
