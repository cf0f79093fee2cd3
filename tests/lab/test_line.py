"""Many runs at once: what waits for what, what is tried again, what is left to others, what is lost when something breaks."""

from __future__ import annotations

import dataclasses as dc
import errno
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lab_runs import KINDS, small, what_counts

from secateur.core import component as registry
from secateur.core.component import choose
from secateur.core.errors import RunError
from secateur.lab import Experiment, grid, one, run, run_all
from secateur.lab.crew import DIED, Processes, find_gpus
from secateur.lab.imports import import_source, with_sources
from secateur.lab.one import Busy, Ended, Lost, Outcome
from secateur.lab.store import RunBusy, RunFolder

DENSE = small()
PRUNED = grid(DENSE, {"global_magnitude": {"epochs": 1.0}, "random": {"epochs": 1.0}}, (2, 4), (0,))


class Pretended:
    """A crew that runs nothing: what becomes of a run is said beforehand."""

    def __init__(self, *fates: dict[str, list[object]], room: int = 2, shares_memory: bool = True) -> None:
        self.fates = {k: list(v) for f in fates for k, v in f.items()}
        self.size, self.shares_memory = room, shares_memory
        self.under_way: list[Experiment] = []
        self.begun: list[tuple[str, int]] = []

    @property
    def room(self) -> int:
        return self.size - len(self.under_way)

    def begin(self, experiment: Experiment) -> None:
        self.begun.append((experiment.id, len(self.under_way)))
        self.under_way.append(experiment)

    def events(self, seconds: float) -> Iterator[object]:
        if not self.under_way:
            time.sleep(0.01)
            return
        e = self.under_way.pop(0)
        fate = self.fates.get(e.id, [])
        yield fate.pop(0) if fate else Ended(Outcome(e, {"id": e.id}))

    def close(self) -> None:
        self.closed = True


def test_what_a_run_goes_on_from_comes_first_and_once(tmp_path):
    control = dc.replace(PRUNED[0], control="scratch_e")
    ticket = small(method="lottery_ticket", method_arguments={"rounds": 3})
    crew = Pretended()
    outcomes = run_all([control, ticket, *PRUNED], tmp_path, crew=crew)
    order = [i for i, _ in crew.begun]
    assert len(order) == len(set(order))
    for later, earlier in ((control, PRUNED[0]), (PRUNED[0], DENSE), (ticket, ticket.follows()), (ticket.follows(), DENSE)):
        assert order.index(earlier.id) < order.index(later.id)
    assert order[0] == DENSE.id
    assert [o.experiment.id for o in outcomes[:2]] == [control.id, ticket.id]
    assert ticket.follows().id not in {o.experiment.id for o in outcomes}  # it was not asked for
    assert crew.closed


def test_a_lost_run_is_tried_again_alone_and_told(tmp_path):
    lost = PRUNED[1]
    crew = Pretended({lost.id: [Lost(lost.id, DIED)]})
    notices, told = [], []
    outcomes = run_all(PRUNED, tmp_path, crew=crew, say=notices.append, told=told.append)
    assert [o.error for o in outcomes] == [None] * 5
    assert [o.tries for o in outcomes] == [1, 2, 1, 1, 1]
    assert [(n.experiment.id, n.again) for n in notices if n.again] == [(lost.id, DIED)]
    assert crew.begun[-1] == (lost.id, 0)  # when all others are done
    assert len(told) == 5


@pytest.mark.parametrize("retries", [0, 2])
def test_how_often_a_lost_run_is_tried(retries, tmp_path):
    crew = Pretended({PRUNED[1].id: [Lost(PRUNED[1].id, DIED)] * 9})
    (outcome,) = (o for o in run_all(PRUNED, tmp_path, crew=crew, retries=retries) if o.error)
    assert (outcome.error, outcome.tries) == (DIED, retries + 1)
    assert [i for i, _ in crew.begun].count(PRUNED[1].id) == retries + 1


def test_what_goes_on_from_a_lost_run_is_not_tried(tmp_path):
    control = dc.replace(PRUNED[0], control="scratch_e")
    crew = Pretended({PRUNED[0].id: [Ended(Outcome(PRUNED[0], error="no luck"))]})
    outcomes = run_all([control, PRUNED[1]], tmp_path, crew=crew)
    assert outcomes[0].error == f"the run {PRUNED[0].id}, which it goes on from, failed: no luck"
    assert outcomes[1].error is None
    assert control.id not in {i for i, _ in crew.begun}


def test_what_another_works_on_is_left_to_it_and_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr("secateur.lab.pool._LOOK_AGAIN", 0.05)
    crew = Pretended({PRUNED[0].id: [Busy(PRUNED[0].id)] * 3}, room=1)
    outcomes = run_all(PRUNED, tmp_path, crew=crew)
    assert [(o.error, o.tries) for o in outcomes] == [(None, 1)] * 5
    order = [i for i, _ in crew.begun]
    assert order.count(PRUNED[0].id) == 4
    assert set(order[:4]) > {PRUNED[0].id, DENSE.id}
    assert order[-1] == PRUNED[0].id


def test_a_held_run_is_not_waited_for(tmp_path):
    with RunFolder(tmp_path, DENSE.id).lock(), pytest.raises(RunBusy, match=r"another process works on the run"):
        run(DENSE, tmp_path, wait=False)


def test_two_sweeps_over_one_folder_share_the_work(tmp_path, monkeypatch):
    """Each run is begun by one of them, and both end with all results."""
    trained: list[str] = []
    module = sys.modules["secateur.lab.run"]
    real, one_at_a_time = module._work, threading.Lock()  # torch.fx patches modules while it traces: no two threads may

    def work(job, root):
        trained.append(job.experiment.id)
        with one_at_a_time:
            real(job, root)

    monkeypatch.setattr(module, "_work", work)
    found: list[list[Outcome]] = []
    both = [threading.Thread(target=lambda: found.append(run_all(PRUNED, tmp_path, workers=1))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(120)
    assert [[o.error for o in outcomes] for outcomes in found] == [[None] * 5] * 2
    assert [o.result for o in found[0]] == [o.result for o in found[1]]
    assert sorted(trained) == sorted({DENSE.id, *(e.id for e in PRUNED)})


def test_nothing_to_do_starts_nothing(finished, monkeypatch):
    for e in PRUNED:
        root = finished(e)
    monkeypatch.setattr("secateur.lab.pool.Processes", lambda *_: pytest.fail("a process is started"))
    outcomes = run_all(PRUNED, root, workers=2)
    assert [(o.error, o.tries) for o in outcomes] == [(None, 0)] * 5
    assert all(o.result for o in outcomes)


def spoil(root, experiment, change):
    file = root / experiment.id / "result.json"
    file.parent.mkdir(parents=True)
    file.write_text(change)
    return file


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("{", r"result.json' is corrupt"), ('{"version": 2}', r"has version 2; this release reads 1: upgrade secateur")],
)
def test_a_spoilt_result_costs_its_run_and_stays(content, sentence, tmp_path):
    file = spoil(tmp_path, PRUNED[0], content)
    outcomes = run_all(PRUNED[:2], tmp_path, crew=Pretended())
    assert sentence.replace("\\", "") in outcomes[0].error
    assert [o.error for o in outcomes[1:]] == [None, None]
    assert file.read_text() == content
    of_dense = tmp_path / "other"
    spoil(of_dense, DENSE, content)
    outcomes = run_all(PRUNED[:2], of_dense, crew=Pretended())
    assert all(o.error.startswith("its dense network failed: ") for o in outcomes[:2])


def test_a_checkpoint_of_a_newer_version_is_not_written_over(tmp_path):
    folder = RunFolder(tmp_path, DENSE.id)
    torch.save({"version": 2, "id": DENSE.id, "model": {}}, folder.path / "checkpoint.pt")
    before = (folder.path / "checkpoint.pt").read_bytes()
    with pytest.raises(RunError, match=r"checkpoint.pt' has version 2; this release reads 1: upgrade secateur to go on"):
        run(DENSE, tmp_path)
    assert (folder.path / "checkpoint.pt").read_bytes() == before


def test_a_disk_that_fills_costs_the_runs_that_had_to_write(tmp_path, monkeypatch):
    real = os.fsync

    def full(handle):
        if PRUNED[0].id in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        outcomes = run_all(PRUNED[:2], tmp_path, workers=1)
    assert "cannot be written: No space left on device; what was there before is unchanged" in outcomes[0].error
    assert [o.error for o in outcomes[1:]] == [None, None]
    again = run_all(PRUNED[:2], tmp_path, workers=1)  # with room again
    assert [(o.error, o.tries) for o in again] == [(None, 1), (None, 0), (None, 0)]


def test_each_process_has_a_gpu_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert find_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    crew = Processes(3, tmp_path, gpus=find_gpus())
    given = []

    class Process:
        def __init__(self, target, args, daemon):
            given.append(args[-1])
            os.dup(args[0].fileno())  # a real process has its end of the pipe open

        def start(self):
            pass

    monkeypatch.setattr(crew._context, "Process", Process, raising=False)
    for e in PRUNED[:3]:
        crew.begin(e)
    assert (given, crew.room) == (["5", "GPU-7", "5"], 0)


def test_memory_that_runs_out_is_a_lost_run(tmp_path, monkeypatch):
    def hungry(*_, **__):
        raise MemoryError

    monkeypatch.setattr(one, "run", hungry)
    assert one.run_one(DENSE, tmp_path) == Lost(DENSE.id, "it ran out of memory (MemoryError)")


SCORE = '''
from secateur.core.component import component, param
from secateur.score import Score


@component
class LineScore(Score):
    """S = |w|.

    Args:
        power: of |w|.
    """

    power: float = param(default=1.0, gt=0)

    def __call__(self, weight, statistics):
        return weight.abs() ** self.power
'''


def test_a_users_file_in_the_workers_and_in_the_name(tmp_path, monkeypatch):
    """Imported by every process; another text is another run, for what it decides and for nothing else."""
    monkeypatch.setattr(registry, "_REGISTRY", {axis: dict(known) for axis, known in registry._REGISTRY.items()})
    file = tmp_path / "line_score.py"
    file.write_text(SCORE)
    source = import_source(file)
    recipe = dc.replace(PRUNED[0].recipe, score=choose("score", "line_score"))
    plain = dc.replace(PRUNED[0], method="line_score", method_arguments=(), recipe=recipe)
    mine = with_sources(plain, [source])
    assert mine.sources == (("line_score", source.hash),)
    assert mine.id != plain.id
    assert mine.dense().id == DENSE.id
    assert with_sources(PRUNED[0], [source]).id == PRUNED[0].id
    assert Experiment.from_dict(mine.to_dict()) == mine
    (outcome, dense) = run_all([mine], tmp_path / "runs", workers=2, sources=[source])
    assert (outcome.error, dense.error) == (None, None)
    same = {k: outcome.result[k] for k in ("nonzero", "test")}
    run(PRUNED[0], tmp_path / "runs")
    assert same == {k: RunFolder(tmp_path / "runs", PRUNED[0].id).read_result()[k] for k in same}

    other = dc.replace(mine, sources=(("line_score", "0" * 12),))
    (failed, _) = run_all([other], tmp_path / "runs", workers=1)
    assert f"the run {other.id} needs the file line_score.py, which has another text here" in failed.error
    file.write_text(SCORE + "# changed\n")
    changed = with_sources(plain, [import_source(file)])
    assert changed.id not in (mine.id, plain.id)
    crew = Processes(1, tmp_path / "runs", None, [source])
    try:
        crew.begin(changed)
        (event,) = crew.events(60)
    finally:
        crew.close()
    assert event.outcome.error == f"{str(file)!r} was changed while the sweep ran; start the sweep again"
    del sys.modules["line_score"]


@pytest.mark.slow
def test_a_process_that_dies_takes_no_other_along(tmp_path):
    """The other run's process is the same before and after."""
    bad = small(model="user_models:Killed", model_arguments={})
    good = KINDS["han"]
    seen: list[object] = []
    outcomes = run_all([bad, good], tmp_path, workers=2, say=seen.append)
    assert [(o.error, o.tries) for o in outcomes[:2]] == [(DIED, 2), (None, 1)]
    run(good, tmp_path / "alone")
    assert what_counts(tmp_path, good) == what_counts(tmp_path / "alone", good)


def test_results_are_json(tmp_path):
    """A run's file says which of the user's files it was made with."""
    form = json.loads(json.dumps(dc.replace(DENSE, sources=(("a", "b"),)).to_dict()))
    assert form["sources"] == {"a": "b"}
    assert Experiment.from_dict(form).sources == (("a", "b"),)
