"""A Ray cluster of two nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import functools
import threading
import time

import pytest
from lab_runs import what_counts

from secateur.core.errors import DependencyError, RunError
from secateur.lab import Experiment, Sweep, make_plan, one, run, run_all
from secateur.lab.cluster import Cluster, SharedFolder, _Keep, _on_node
from secateur.lab.imports import import_source

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
NETWORK = {"task": "digits", "model": "digits_mlp", "training": {"epochs": 3}, "finetune": {"epochs": 3}}
SCORE = """
import sys
import time
from pathlib import Path

from secateur.core.component import component
from secateur.score import Score


@component
class ClusterScore(Score):
    def __call__(self, weight, statistics):
        ray = sys.modules.get("ray")
        if ray is not None and ray.is_initialized():
            mark = Path("FOLDER") / ray.get_runtime_context().get_node_id()
            if not mark.exists():
                mark.touch()
                time.sleep(2)  # time to be killed in
        return weight**2
"""


def test_without_ray_it_says_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(DependencyError, match=r"ray is not installed; it comes with: pip install 'secateur\[cluster\]'"):
        Cluster("auto", tmp_path)


@pytest.fixture
def two_nodes():
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Machines

    machines = Machines(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        yield machines, machines.add_node(**NODE)
    finally:
        ray.shutdown()
        machines.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_node_that_is_killed_costs_nothing_but_time(two_nodes, tmp_path, monkeypatch):
    """The sweep ends, and with the bits of a sweep on this machine alone: weights, masks' counts and figures."""
    machines, node = two_nodes
    file = tmp_path / "cluster_score.py"
    file.write_text(SCORE.replace("FOLDER", str(tmp_path)))
    sweep = Sweep.from_dict(
        {
            "networks": [NETWORK], "compressions": [2, 8], "seeds": [0, 1], "imports": [str(file)],
            "methods": ["cluster_score", {"lottery_ticket": {"rounds": 2, "compressions": "own"}}, "deep_compression"],
        }
    )  # fmt: skip
    plan = make_plan(sweep, tmp_path / "ray")
    crew = Cluster(machines.address, tmp_path / "ray", None, sweep.sources)
    places, notices = [], []

    def kill():
        while not (tmp_path / node.node_id).exists():
            time.sleep(0.02)
        machines.remove_node(node, allow_graceful=False)  # in the middle of a run

    threading.Thread(target=kill, daemon=True).start()
    told = lambda _: places.append(crew.places)  # noqa: E731
    outcomes = run_all(plan.experiments, tmp_path / "ray", crew=crew, told=told, say=notices.append)
    assert [o.error for o in outcomes] == [None] * len(outcomes)
    assert (places[0], places[-1]) == (2, 1)
    assert any(n.stage == "its machine died; begun again on another" for n in notices)
    assert all(o.tries == 1 for o in outcomes)
    here = run_all(plan.experiments, tmp_path / "here", workers=2, sources=sweep.sources)
    for o, other in zip(outcomes, here, strict=True):
        assert what_counts(tmp_path / "ray", o.experiment) == what_counts(tmp_path / "here", other.experiment), o.experiment.label
    again = run_all(plan.experiments, tmp_path / "ray", workers=2, sources=[import_source(file)])
    assert not any(o.tries for o in again)  # the cluster's runs are this machine's runs


class _Killed(Exception):
    """A machine dies."""


def test_a_run_goes_on_elsewhere_from_the_checkpoint_in_a_shared_folder(tmp_path, monkeypatch):
    experiment = Experiment.from_dict({"task": "digits", "model": "digits_mlp", "training": {"epochs": 3}, "seed": 5})
    task, seen = experiment.load_task(), []
    whole = what_counts(tmp_path / "here", run(experiment, tmp_path / "here", task=lambda: task) and experiment)
    monkeypatch.setattr(one, "run", functools.partial(run, keep_every=0.0))
    shared = SharedFolder.mark(tmp_path / "shared")
    kept = tmp_path / "shared" / experiment.id / "checkpoint.pt"
    kept.parent.mkdir()
    given = (experiment.to_dict(), (), task, None)
    tell = _Keep.__call__

    def told(self, stage, step, steps):
        tell(self, stage, step, steps)
        seen.append(step)
        if len(seen) == 5:
            raise _Killed

    monkeypatch.setattr(_Keep, "__call__", told)
    assert isinstance(_on_node(*given, shared, []), str)  # an error as any other: nobody is killed here
    assert kept.exists()
    files = _on_node(*given, shared, [])
    assert seen[:7] == [1, 2, 3, 4, 5, 5, 6]  # the checkpoint of a step is copied at the next
    assert isinstance(files, dict)
    (tmp_path / "there" / experiment.id).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "there" / experiment.id / name).write_bytes(content)
    assert what_counts(tmp_path / "there", experiment) == whole

    seen.clear()
    shared.unmark()
    _on_node(*given, shared, [])  # a machine that does not see the folder begins at the beginning, and tells nobody
    assert seen == []


def test_no_cluster_is_one_sentence(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(RunError, match=r"no Ray cluster answers at 'auto' \(.*\); start one: ray start --head"):
        Cluster("auto", tmp_path)
