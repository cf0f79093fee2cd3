"""Names of runs in a report: the same name never stands for two things."""

from __future__ import annotations

from secateur.lab import Experiment, Outcome, comparison
from secateur.lab.compare import _where
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
    assert {x.method for x in found} == {"random", "dense"}
    assert {x.model for x in found} == {"digits_mlp"}


def test_two_ways_at_one_compression_are_two_methods() -> None:
    assert [x.method for x in labels(SOME)] == ["random, epochs 1"] * 4 + ["random, epochs 5"] * 4


def test_one_run_in_another_way_renames_the_whole_curve() -> None:
    """Otherwise the seeds that have no double would be a third method."""
    assert [x.method for x in labels([*SOME[:4], SOME[4]])] == ["random, epochs 1"] * 4 + ["random, epochs 5"]


def test_networks_trained_differently_are_two_networks() -> None:
    longer = Experiment(training=Training(epochs=30.0))
    found = labels([Experiment(), longer, SOME[0]])
    assert [x.model for x in found] == ["digits_mlp, epochs 10", "digits_mlp, epochs 30", "digits_mlp, epochs 10"]


def test_rounds_of_one_method_that_reach_further_each_keep_its_name() -> None:
    third = Experiment(method="lottery_ticket", method_arguments={"rounds": 3})
    second = third.follows()
    assert second is not None
    assert {x.method for x in labels([second, third], [1.5, 1.9])} == {"lottery_ticket"}
    assert len({x.method for x in labels([second, third], [1.9, 1.9])}) == 2


def test_one_run_under_two_names_is_a_point_of_each() -> None:
    recipe = SOME[0].recipe
    twice = [Experiment(method=name, recipe=recipe, compression=2) for name in ("mine", "yours")]
    assert twice[0].id == twice[1].id
    assert [x.method for x in labels(twice)] == ["mine", "yours"]


def test_a_control_stays_a_control_under_a_longer_name() -> None:
    points = comparison([Outcome(e, error="lost") for e in SOME], ".", title="t").points
    assert all(p.control for p in points)
    assert len({(p.method, p.target_compression, p.seed) for p in points}) == len(SOME)


def test_the_page_says_where_the_runs_ran() -> None:
    assert _where([{"cores": 2, "commit": "a"}, {"cores": 2, "commit": "b"}]) == {"cores": 2, "commit": ["a", "b"]}
    assert _where([])["python"]
