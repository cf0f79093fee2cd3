from __future__ import annotations

import errno
import json
import os
import shutil
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_runs import KINDS

from secateur.core.errors import RunError
from secateur.lab import load_model, run
from secateur.lab.store import RunFolder

DENSE = KINDS["dense"]


@pytest.fixture
def root(finished, tmp_path):
    """A finished run to do harm to."""
    shutil.copytree(finished(DENSE) / DENSE.id, tmp_path / DENSE.id)
    return tmp_path


def test_finished_work_is_read_not_repeated(root):
    times = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    first = run(DENSE, root, say=lambda *_: pytest.fail("it trains"))
    assert first == run(DENSE, root) == json.loads((root / DENSE.id / "result.json").read_text())
    assert times == {p: p.stat().st_mtime_ns for p in root.rglob("*")}


def test_a_finished_pruned_run_needs_its_dense_run_no_more(finished, tmp_path):
    experiment = KINDS["one_shot"]
    shutil.copytree(finished(experiment) / experiment.id, tmp_path / experiment.id)
    run(experiment, tmp_path, say=lambda *_: pytest.fail("it trains"))
    assert [p.name for p in tmp_path.iterdir()] == [experiment.id]


def test_one_dense_network_for_all_pruned_ones(finished, tmp_path):
    shutil.copytree(finished(DENSE) / DENSE.id, tmp_path / DENSE.id)
    stages = set()
    for kind in ("one_shot", "gradient"):
        assert KINDS[kind].dense().id == DENSE.id
        run(KINDS[kind], tmp_path, say=lambda stage, *_: stages.add(stage))
    assert stages == {"recovery, round 1"}


def test_threads_wait_for_each_other(tmp_path):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        with RunFolder(tmp_path, "a").lock():
            inside += 1
            most = max(most, inside)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert most == 1


def harm(root, change):
    file = root / DENSE.id / "result.json"
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r.pop("test"), "corrupt .it lacks 'test'.; delete it to run"),
        (lambda r: r.pop("version"), "corrupt .'version'.; delete it"),
        (lambda r: r.update(version=2), "has version 2; this release reads 1: upgrade secateur"),
        (lambda r: r.update(id="0" * 12), "corrupt .it is of run 000000000000.; delete it"),
        (lambda r: r.update(test=None), "corrupt .'test' is None."),
        (lambda r: r.update(test={"top1": "high"}), "corrupt .'test' lacks its figures."),
        (lambda r: r.update(parameters=True), "corrupt .'parameters' is True."),
        (lambda r: r.update(layers=[["fc1", 3]]), "corrupt .'layers' is not a list of name, total, non-zero."),
        (lambda r: r.update(speedup="2x"), "corrupt .'speedup' is '2x'."),
    ],
)
def test_a_harmed_result_is_one_sentence(root, change, sentence):
    harm(root, change)
    with pytest.raises(RunError, match=sentence) as e:
        run(DENSE, root)
    assert str(root / DENSE.id / "result.json") in str(e.value)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"3", b'"a"', b"\xff\xfe", b"[" * 10**5, b'{"version": [1]}'])
def test_what_is_no_result_is_one_sentence(root, content):
    (root / DENSE.id / "result.json").write_bytes(content)
    with pytest.raises(RunError, match=r"result.json'"):
        run(DENSE, root)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_run_error(tmp_path_factory, content):
    folder = RunFolder(tmp_path_factory.mktemp("r"), "a")
    (folder.path / "result.json").write_bytes(content)
    with pytest.raises(RunError):
        folder.read_result()
    (folder.path / "checkpoint.pt").write_bytes(content)
    assert folder.load_checkpoint() is None


def test_a_truncated_result_is_one_sentence(root):
    file = root / DENSE.id / "result.json"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(RunError, match=r"is corrupt .*; delete it to run the experiment again"):
        run(DENSE, root)


@pytest.mark.parametrize("where", ["file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_made(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"the run folder .* cannot be made: .*; choose another: --out"):
        run(DENSE, tmp_path / where)


def test_no_room_for_the_checkpoint(root, monkeypatch):
    experiment = KINDS["one_shot"]
    real, seen = os.fsync, []

    def full(handle):
        seen.append(handle)
        if len(seen) > 3:  # experiment.yaml and two checkpoints fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            RunError, match=r"checkpoint.pt' cannot be written: No space left on device; what was there before is"
        ):
            run(experiment, root, keep_every=0)
    assert RunFolder(root, experiment.id).load_checkpoint()["progress"]["step"] == 2  # the one before is whole
    assert RunFolder(root, DENSE.id).read_result()["id"] == DENSE.id
    assert run(experiment, root)["nonzero"] > 0


def test_no_network_yet(tmp_path):
    with pytest.raises(RunError, match=r"has no network yet: .* run the experiment first"):
        load_model(DENSE, tmp_path)
