"""One writer for one folder: who is refused, who takes over, who finds out."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
from etils import epath

from rare_retention.record import lock
from rare_retention.record.lock import HEARTBEAT, NAME, Held, Lock, Lost
from rare_retention.record.pulses import Pulses


def holder(folder, **changes):
    """A lock as another process has left it."""
    with Lock(folder):
        about = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps(about | {"token": "other"} | changes))


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path) / "run"


def test_a_lock_is_given_back(folder):
    for _ in range(2):
        with Lock(folder):
            assert {path.name for path in folder.iterdir()} == {NAME, HEARTBEAT}
        assert not list(folder.iterdir())


def test_a_second_process_is_refused_in_one_line(folder):
    code = f"""
import sys, time
from etils import epath
from rare_retention.record.lock import Lock
with Lock(epath.Path({str(folder)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Held, match=rf"is being written by process {other.pid} on ") as caught:
            Lock(folder).__enter__()
        assert "\n" not in str(caught.value)
        other.send_signal(signal.SIGKILL)
        other.wait()
        start = time.monotonic()
        with pytest.warns(UserWarning, match=f"taken over from process {other.pid}"), Lock(folder):
            assert time.monotonic() - start < 5  # at once: it is known to have ended
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


def test_another_process_of_the_same_number_is_no_holder(folder):
    holder(folder, started="1")
    with pytest.warns(UserWarning, match="taken over"), Lock(folder):
        pass


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"boot": "another start"}])
def test_one_elsewhere_that_has_stopped_beating_is_taken_over(folder, other):
    holder(folder, **other)
    (folder / HEARTBEAT).write_text("other 3")
    own = Lock(folder, stale=0.4)
    with warnings.catch_warnings(record=True, action="always") as said:
        own.__enter__()
    assert json.loads((folder / NAME).read_text())["process"] == os.getpid()
    assert "watching for 0.4 seconds" in str(said[0].message)
    assert "which has ended" in str(said[1].message)
    own.__exit__()
    assert not own.lost and not list(folder.iterdir())


def test_one_elsewhere_that_beats_is_left_alone(folder):
    holder(folder, host="elsewhere")
    beat = folder / HEARTBEAT
    beat.write_text("other 3")
    own = Lock(folder, stale=60)
    beats = iter(range(9))
    own._pulse = lambda _: next(beats)
    with pytest.warns(UserWarning, match="watching"), pytest.raises(Held, match="on elsewhere"):
        own.__enter__()


def test_who_looks_again_and_again_need_not_watch(folder):
    """One look is enough each time: the lock is refused until the holder was silent for long."""
    now = [0.0]
    pulses, beat = Pulses(lambda: now[0]), folder / HEARTBEAT
    holder(folder, host="elsewhere")
    start = time.monotonic()
    for number, later in enumerate((0.0, 59.0, 59.0, 59.0)):  # it beats between the looks
        beat.write_text(f"other {number}")
        now[0] += later
        with pytest.raises(Held) as caught:
            Lock(folder, pulses=pulses).__enter__()
    assert caught.value.by == f"process {os.getpid()} on elsewhere"
    now[0] += 60
    with pytest.warns(UserWarning, match="taken over"), Lock(folder, pulses=pulses):
        assert time.monotonic() - start < 5


def test_a_lock_that_is_cut_off_is_no_lock_for_ever(folder):
    folder.mkdir()
    (folder / NAME).write_bytes(b"")
    with warnings.catch_warnings(record=True, action="always") as said, Lock(folder, stale=0.3):
        assert "which has ended" in str(said[-1].message)


def test_who_was_killed_while_taking_over_keeps_nobody_out(folder):
    holder(folder, started="1")
    (folder / lock.GUARD).write_text((folder / NAME).read_text())
    with pytest.warns(UserWarning, match="taken over"), Lock(folder):
        assert not (folder / lock.GUARD).exists()


def test_who_was_taken_over_writes_no_more(folder):
    with Lock(folder, every=0.05) as own:
        own.check()
        about = json.loads((folder / NAME).read_text())
        (folder / NAME).write_text(json.dumps(about | {"token": "other"}))
        for _ in range(100):
            time.sleep(0.05)
            if own.lost:
                break
        with pytest.raises(Lost, match="was taken over by another process"):
            own.check()
    assert (folder / NAME).exists()  # another's, not given back by this one


TAKE = """
import sys, time, warnings
from pathlib import Path
from etils import epath
from rare_retention.errors import UserError
from rare_retention.record.lock import Lock
warnings.simplefilter("ignore")
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    time.sleep(0.001)
own = Lock(epath.Path(sys.argv[1]))
try:
    own.__enter__()
except UserError:
    print("refused", flush=True)
else:
    print("held", flush=True)
    time.sleep(2)
    own.__exit__()
"""


@pytest.mark.parametrize("left", [False, True])
def test_of_many_that_start_at_once_one_holds_it(folder, tmp_path, left):
    """Also where all of them find the lock of one that has ended."""
    if left:
        holder(folder, started="1")
    command = [sys.executable, "-c", TAKE, str(folder), str(tmp_path / "go")]
    each = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in each:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    found = [process.communicate(timeout=60)[0].strip() for process in each]
    assert sorted(found) == ["held", "refused", "refused", "refused"]


def test_object_stores_are_asked_for_a_new_object():
    fsspec = pytest.importorskip("fsspec")
    path = "memory://runs/lock.json"
    try:
        assert lock._create_only(path, b"first") and not lock._create_only(path, b"second")
        assert fsspec.open(path).open().read() == b"first"
    finally:
        fsspec.filesystem("memory").rm("/runs", recursive=True)
