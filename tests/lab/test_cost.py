"""What a run says it cost, and that older results, which do not say it, still read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from lab_runs import KINDS, TRAINING, small

from secateur.evaluate.energy import modelled, training_energy
from secateur.lab import Outcome, comparison, run
from secateur.lab.cost import Cost
from secateur.lab.figures import check_result


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, object]]]:
    root = tmp_path_factory.mktemp("runs")
    return root, {name: run(KINDS[name], root) for name in ("dense", "one_shot")}


def test_the_modelled_energy_follows_from_the_counts(done) -> None:
    _, results = done
    for r in results.values():
        words = sum(min(total, left * 1.5) for _, total, left in r["layers"])
        assert r["energy"]["how"] == "modelled: Horowitz 2014"
        assert r["energy"]["inference"] == modelled(r["effective_macs"], words, r["values"]).joules
        assert r["energy"]["dense_inference"] == modelled(r["macs"], r["parameters"], r["values"]).joules
        training = training_energy(r["macs"], r["parameters"], r["values"], steps=r["cost"]["steps"], batch=TRAINING.batch_size)
        assert r["energy"]["training"] == training
    assert results["one_shot"]["energy"]["inference"] < results["dense"]["energy"]["inference"]


def test_steps_and_memory_are_of_the_run_itself(done) -> None:
    _, results = done
    assert (results["dense"]["cost"]["steps"], results["one_shot"]["cost"]["steps"]) == (10, 5)
    assert results["dense"]["cost"]["memory"]["peak_bytes"] > 10_000_000
    assert results["dense"]["kind"] == "classification"


def test_rounds_add_up_over_the_runs_they_go_on_from(tmp_path: Path) -> None:
    assert run(KINDS["tuned"], tmp_path)["cost"]["steps"] == 10  # two rounds of one pass, each a run of its own


def test_points_carry_it_with_who_counted(done) -> None:
    root, results = done
    outcomes = [Outcome(KINDS[name], r) for name, r in results.items()]
    points = comparison(outcomes, root, title="t").points
    assert {p.inference_energy for p in points} == {p.training_energy for p in points} == {"modelled: Horowitz 2014"}
    assert points[1].inference_joules == results["one_shot"]["energy"]["inference"]
    assert points[1].steps == 5
    assert points[1].loss == results["one_shot"]["test"]["loss"]
    assert points[1].dense_id == results["dense"]["id"]


def test_measured_and_modelled_are_never_mixed(done) -> None:
    root, results = done
    counted = {"measured_energy": {"how": "measured: rapl", "inference": 0.5, "dense_inference": 1.0}}
    some = [Outcome(KINDS["dense"], results["dense"]), Outcome(KINDS["one_shot"], {**results["one_shot"], **counted})]
    assert {p.inference_energy for p in comparison(some, root, title="t").points} == {"modelled: Horowitz 2014"}
    every = [Outcome(KINDS[n], {**r, **counted}) for n, r in results.items()]
    points = comparison(every, root, title="t").points
    assert {(p.inference_energy, p.inference_joules) for p in points} == {("measured: rapl", 0.5)}
    assert points[0].training_energy == "modelled: Horowitz 2014"


def test_results_of_earlier_releases_still_read(done) -> None:
    root, results = done
    for r in results.values():
        old = {k: v for k, v in r.items() if k not in ("kind", "values", "energy", "measured_energy", "cost")}
        assert check_result(json.loads(json.dumps(old))) is None
        (point,) = comparison([Outcome(KINDS["dense"], old)], root, title="t").points
        assert (point.inference_joules, point.peak_bytes, point.steps) == (None, None, None)
        assert point.top1 == r["test"]["top1"]


def test_a_damaged_cost_is_noticed(done) -> None:
    _, results = done
    whole = results["dense"]
    assert check_result(whole) is None
    assert re.match(r"'energy' is 3", check_result({**whole, "energy": 3}) or "")
    assert re.match(r"'energy' is {'inf", check_result({**whole, "energy": {"inference": "much"}}) or "")
    assert check_result({**whole, "cost": {"memory": 5}}) == "'cost' has the memory 5"
    assert check_result({**whole, "test": {**whole["test"], "top1": 97.2}}) == "'test' has an accuracy outside [0, 1]"


def test_a_run_with_nothing_left_is_a_point_too(done) -> None:
    root, results = done
    empty = {**results["one_shot"], "nonzero": 0, "compression": float("inf")}
    (point,) = comparison([Outcome(KINDS["one_shot"], empty)], root, title="t").points
    assert (point.target_compression, point.compression) == (empty["parameters"], None)


def test_what_an_earlier_process_did_not_count_makes_the_whole_unknown() -> None:
    cost = Cost()
    cost.restore({"steps": 7, "joules": None, "how": None, "memory": {"peak_bytes": 10**15, "how": "x"}})
    now = cost.state(3)
    assert (now["steps"], now["memory"]) == (10, {"peak_bytes": 10**15, "how": "x"})
    cost.restore(None)
    assert cost.state(3)["steps"] is None


def test_a_killed_run_counts_its_steps_once(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def say(stage: str, step: int, steps: int) -> None:
        if step == 7:
            raise Killed

    with pytest.raises(Killed):
        run(small(), tmp_path, keep_every=0.0, say=say)
    assert run(small(), tmp_path)["cost"]["steps"] == 10
