"""Who holds a lock, asked by somebody who takes none."""

import json
import os
import time

import pytest
from etils import epath

from rare_retention.record.holder import HEARTBEAT, NAME, STALE, holder
from rare_retention.record.lock import Lock


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path)


def leave(folder, silent=0.0, **changes):
    """A lock as another process has left it, whose last heartbeat was some seconds ago."""
    with Lock(folder):
        about = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps(about | changes))
    (folder / HEARTBEAT).write_text("other 3")
    then = time.time() - silent
    os.utime(folder / HEARTBEAT, (then, then))


def test_nobody_holds_a_folder_without_a_lock(folder):
    assert holder(folder) is None


def test_this_process_holds_what_it_has_locked_and_nothing_is_written_by_asking(folder):
    with Lock(folder):
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        found = holder(folder)
        assert found.runs and found.process == str(os.getpid()) and found.since.endswith("UTC")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert holder(folder) is None


def test_a_process_of_this_machine_that_has_ended_holds_nothing(folder):
    leave(folder, started="1")  # another process of this number
    assert not holder(folder).runs


@pytest.mark.parametrize(("silent", "runs"), [(0.0, True), (STALE - 20, True), (STALE + 5, False)])
def test_one_elsewhere_runs_while_its_heart_beats(silent, runs, folder):
    leave(folder, silent, host="elsewhere")
    found = holder(folder)
    assert found.runs == runs and found.host == "elsewhere"
    assert found.silent == pytest.approx(silent, abs=5)


def test_a_clock_that_is_behind_makes_no_silence_below_zero(folder):
    leave(folder, silent=-100, host="elsewhere")
    assert holder(folder).silent == 0.0 and holder(folder).runs


def test_a_lock_that_is_being_written_is_somebodys(folder):
    (folder / NAME).write_text('{"to')
    assert holder(folder).host == "?" and not holder(folder).runs
