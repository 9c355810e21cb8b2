"""How far a unit is, from folders as processes leave them; none is trained."""

import json
import os

import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.record.holder import HEARTBEAT
from rare_retention.record.holder import NAME as LOCK
from rare_retention.record.live import Live, write_live
from rare_retention.record.lock import Lock
from rare_retention.record.manifest import NAME as MANIFEST
from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.record.metrics import Metrics
from rare_retention.record.records import RESUME, STATES
from rare_retention.settings.student import Student
from rare_retention.study.grid import units
from rare_retention.study.progress import FAILURE
from rare_retention.study.unit_status import UNIT_STATES, unit_status

STUDENTS = tuple(Student(f"width_{w}", w, w, 8 * w) for w in (2, 8))


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path) / "unit"


@pytest.fixture(scope="module")
def unit():
    return units(tiny.study())[0]


def leave(folder, status, step, **own):
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, Manifest(status=status, step=step, students=STUDENTS, **own))


def measure(folder, *steps, losses=(0.5, 0.25)):
    """Leaves a block of metrics."""
    store = Metrics(folder, "")
    for step in steps:
        store.add(step, {"train_loss": np.array(losses)})
    return store.flush()


def seen(unit, folder, kept=(), branches=()):
    found = unit_status(unit, folder, kept, dict(branches))
    assert found.state in UNIT_STATES
    return found


def test_a_folder_that_is_not_there_waits(unit, folder):
    found = seen(unit, folder)
    assert (found.state, found.step, found.steps) == ("waiting", 0, 48)
    assert not folder.exists()


def test_of_a_run_that_was_killed_the_last_that_files_tell(unit, folder):
    leave(folder, "running", 0)
    measure(folder, 8, 16, losses=(9.0, 9.0))
    measure(folder, 24, 32)
    (folder / RESUME / "16").mkdir(parents=True)
    found = seen(unit, folder)
    assert (found.state, found.step) == ("stopped", 32)
    assert found.loss == {"2": 0.5, "8": 0.25} and found.loss_step == 32
    (folder / RESUME / "40").mkdir()
    assert seen(unit, folder).step == 40


def test_only_the_last_block_is_opened(unit, folder):
    leave(folder, "running", 0)
    (folder / "metrics" / measure(folder, 8)).write_bytes(b"no block at all")
    measure(folder, 16)
    assert seen(unit, folder).loss_step == 16
    (folder / "metrics" / measure(folder, 24)).write_bytes(b"being cut off")
    assert seen(unit, folder).state == "stopped" and seen(unit, folder).loss == {}


def test_a_run_that_is_held_runs_and_says_how_fast(unit, folder):
    with Lock(folder):
        assert seen(unit, folder).state == "running"  # before it has a manifest
        leave(folder, "running", 0)
        measure(folder, 8)
        live = Live(step=28, steps=48, doing="training", rate=4.0, loss={"2": 0.1}, loss_step=24)
        write_live(folder, live)
        found = seen(unit, folder)
        assert (found.state, found.step, found.rate, found.left) == ("running", 28, 4.0, 5.0)
        assert found.loss == {"2": 0.1} and found.loss_step == 24
        assert found.process == str(os.getpid()) and found.host and not found.note
        write_live(folder, Live(step=0, steps=48, doing="compiling"))
        assert seen(unit, folder).note == "compiling" and seen(unit, folder).left is None
        # What an earlier process left when it ended is not how fast this one is.
        write_live(folder, Live(step=40, steps=48, doing="left", rate=4.0))
        found = seen(unit, folder)
        assert (found.step, found.rate) == (8, None)


def test_one_whose_holder_is_silent_has_stopped(unit, folder):
    leave(folder, "running", 0)
    with Lock(folder):
        about = json.loads((folder / LOCK).read_text())
    (folder / LOCK).write_text(json.dumps(about | {"host": "node3", "process": 4711}))
    (folder / HEARTBEAT).write_text("other 1")
    assert seen(unit, folder).state == "running"
    os.utime(folder / HEARTBEAT, (1e9, 1e9))
    found = seen(unit, folder)
    assert found.state == "stopped" and found.host == ""
    assert "still locked by process 4711 on node3, silent for" in found.note


def test_a_failed_one_says_why_until_it_is_tried_again(unit, folder):
    leave(folder, "running", 8)
    (folder / FAILURE).write_text('{"reason": "no room"}')
    assert (seen(unit, folder).state, seen(unit, folder).note) == ("failed", "no room")
    with Lock(folder):
        assert seen(unit, folder).state == "running"


def test_the_end_is_what_the_study_asks_for_now(unit, folder):
    leave(folder, "finished", 48)
    assert (seen(unit, folder).state, seen(unit, folder).note) == ("finished", "")
    leave(folder, "finished", 40)
    assert (seen(unit, folder).state, seen(unit, folder).step) == ("stopped", 40)


def test_one_that_lacks_what_it_has_kept_is_trained_again(unit, folder):
    folder.mkdir(parents=True)
    name = measure(folder, 48)
    leave(folder, "finished", 48, records={"metrics": [name]})
    assert seen(unit, folder).state == "finished"
    (folder / "metrics" / name).unlink()
    found = seen(unit, folder)
    assert (found.state, found.note) == (
        "stopped",
        f"to be trained again: metrics/{name} is not there",
    )


def test_states_for_branches_are_wanted_until_these_have_ended(unit, folder, tmp_path):
    leave(folder, "finished", 48)
    branch = epath.Path(tmp_path) / "branch"
    found = seen(unit, folder, branches={branch: 20})
    assert found.state == "stopped" and "branch needs the state of step 20" in found.note
    leave(branch, "finished", 30)
    assert seen(unit, folder, branches={branch: 20}).state == "finished"
    leave(branch, "running", 20)
    (folder / STATES / "20").mkdir(parents=True)
    assert seen(unit, folder, branches={branch: 20}).state == "finished"


def test_a_state_that_the_study_keeps_has_to_be_there(folder):
    unit = units(tiny.study(**{"run.snapshots.states": "(30,)"}))[0]
    leave(folder, "finished", 48)
    assert "its state of step 30 is not there" in seen(unit, folder, kept=(30,)).note
    (folder / STATES / "30").mkdir(parents=True)
    assert seen(unit, folder, kept=(30,)).state == "finished"


def test_a_damaged_manifest_is_one_line(unit, folder):
    leave(folder, "running", 8)
    (folder / MANIFEST).write_text("{")
    found = seen(unit, folder)
    assert found.state == "damaged" and str(folder / MANIFEST) in found.note
    assert "\n" not in found.note
