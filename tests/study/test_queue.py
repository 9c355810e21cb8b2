"""Which unit is taken next, with locks and failures as other processes leave them."""

import json
import os

import pytest
import tiny
from etils import epath

from rare_retention.errors import Damaged
from rare_retention.record.files import write_json
from rare_retention.record.lock import NAME, Held, Lock
from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.record.records import STATES
from rare_retention.study.progress import FAILURE, Progress
from rare_retention.study.queue import Busy, Queue

BRANCHES = ({"name": "a", "at": 20, "steps": 4}, {"name": "b", "of": "a", "at": 22, "steps": 2})


@pytest.fixture
def progress(tmp_path):
    """Of a study of two streams."""
    return Progress(tiny.study(streams=2), epath.Path(tmp_path))


@pytest.fixture
def branched(tmp_path):
    """Of a study of one stream with two branches, one of the other."""
    return Progress(tiny.study(branches=BRANCHES), epath.Path(tmp_path))


def held(progress, name, **changes):
    """The lock of another process: by default one that lives, here."""
    folder = progress.folder(name)
    with Lock(folder):
        about = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps(about | {"token": "other"} | changes))
    return folder / NAME


def finish(progress, unit):
    folder = progress.folder(unit.name)
    for step in progress.wanted(unit):
        (folder / STATES / str(step)).mkdir(parents=True)
    run = unit.run
    write_manifest(folder, Manifest(identity=run.identity(), status="finished", step=run.steps))


def taken(queue):
    """The name of the unit that is taken, which is given back."""
    found = queue.take()
    with found:
        return found.unit.name


def test_units_are_taken_in_their_order_and_given_back(progress):
    queue = Queue(progress)
    first = queue.take()
    assert first.unit.name == "stream=0" and (progress.folder("stream=0") / NAME).exists()
    assert taken(Queue(progress)) == "stream=1"  # of another worker: this one holds the first
    with first:
        finish(progress, first.unit)
    assert not (progress.folder("stream=0") / NAME).exists()
    assert taken(queue) == "stream=1"
    finish(progress, progress.units[1])
    assert queue.take() is None
    assert queue.state() == (2, {}, 0)


def test_what_others_hold_is_passed_over_and_then_waited_for(progress):
    lock = held(progress, "stream=0")
    queue = Queue(progress)
    with queue.take() as found:
        assert found.unit.name == "stream=1"
        queue.done(found.unit)
    by = f"process {os.getpid()} on {json.loads(lock.read_text())['host']}"
    assert queue.take() == Busy({"stream=0": by})
    assert queue.state() == (1, {}, 1)
    lock.unlink()
    assert taken(queue) == "stream=0"


def test_what_a_worker_that_ended_has_held_is_taken_over(progress):
    held(progress, "stream=0", started="1")
    with pytest.warns(UserWarning, match="taken over from process"):
        assert taken(Queue(progress)) == "stream=0"


def test_one_elsewhere_is_passed_over_at_once_and_taken_over_when_silent(progress):
    held(progress, "stream=0", host="elsewhere")
    queue = Queue(progress, stale=0.0)
    queue._stale = 60.0
    assert taken(queue) == "stream=1"
    queue._stale = 0.0
    with pytest.warns(UserWarning, match="on elsewhere, which has ended"):
        assert taken(queue) == "stream=0"


def test_what_another_has_finished_since_the_look_is_not_trained_again(progress, monkeypatch):
    """The lock is got, but the unit is done: it was finished between the look and the lock."""
    enter = Lock.__enter__

    def late(lock):
        finish(progress, progress.units[0])
        monkeypatch.undo()
        return enter(lock)

    monkeypatch.setattr(Lock, "__enter__", late)
    assert taken(Queue(progress)) == "stream=1"
    assert not (progress.folder("stream=0") / NAME).exists()


def test_a_branch_waits_for_the_unit_that_it_goes_on_from(branched):
    trunk, a, b = branched.units
    queue = Queue(branched)
    with queue.take() as first:
        assert first.unit == trunk
        other = Queue(branched).take()
        assert other.units.keys() == {unit.name for unit in branched.units}
        assert other.units[b.name] == f"it goes on from {a.name}"
        finish(branched, trunk)
    assert taken(queue) == a.name
    finish(branched, a)
    assert taken(queue) == b.name


def test_a_failure_is_left_alone_and_takes_its_branches_with_it(branched):
    trunk, a, b = branched.units
    finish(branched, trunk)
    branched.folder(a.name).mkdir(parents=True)
    write_json(branched.folder(a.name) / FAILURE, {"reason": "no room"})
    queue = Queue(branched)
    assert queue.take() is None
    why = f"{a.name}, which it goes on from, has failed"
    assert queue.state() == (1, {a.name: "no room", b.name: why}, 0)


def test_failures_of_before_are_tried_once_more_on_request(progress):
    """Not those of another worker that tries them again at the same time."""
    for unit in progress.units:
        progress.folder(unit.name).mkdir(parents=True)
        write_json(progress.folder(unit.name) / FAILURE, {"reason": "no room", "when": "1"})
    queue = Queue(progress, retry_failed=True)
    write_json(progress.folder("stream=0") / FAILURE, {"reason": "no room", "when": "2"})
    with queue.take() as found:
        assert found.unit.name == "stream=1"
        queue.failed(found.unit)
    assert queue.take() is None
    assert queue.state() == (0, dict.fromkeys(["stream=0", "stream=1"], "no room"), 0)


def test_a_unit_that_is_asked_for_is_not_passed_over(branched):
    trunk, a, _ = branched.units
    held(branched, trunk.name)
    with pytest.raises(Held, match="is being written by process"):
        Queue(branched, only=trunk).take()
    assert taken(Queue(branched, only=a)) == a.name  # what it lacks is said when it is trained


def test_a_damaged_manifest_is_said(progress):
    progress.folder("stream=0").mkdir(parents=True)
    (progress.folder("stream=0") / "manifest.json").write_text("{")
    queue = Queue(progress)
    assert taken(queue) == "stream=1"
    assert list(queue.state().failed) == ["stream=0"]
    assert "manifest.json: damaged" in queue.state().failed["stream=0"]
    with pytest.raises(Damaged, match="damaged"):
        Queue(progress, only=progress.units[0]).take()


def test_a_damaged_branch_does_not_keep_its_trunk_from_being_finished(branched):
    trunk, a, *_ = branched.units
    branched.folder(a.name).mkdir(parents=True)
    (branched.folder(a.name) / "manifest.json").write_text("{")
    queue = Queue(branched)
    assert taken(queue) == trunk.name


def test_a_damaged_note_of_a_failure_is_a_failure(progress):
    progress.folder("stream=0").mkdir(parents=True)
    (progress.folder("stream=0") / "failure.json").write_text("{")
    assert taken(Queue(progress)) == "stream=1"
    assert taken(Queue(progress, retry_failed=True)) == "stream=0"
