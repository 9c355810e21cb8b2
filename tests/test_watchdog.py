"""A test that stands still is ended and named; one that works is left alone, however slow."""

import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 4

HEADER = """
import ctypes, subprocess, sys, threading, time

def work():
    end = time.monotonic() + {busy}
    while time.monotonic() < end:
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        time.sleep(0.4)
"""

TESTS = {
    "busy": "work()",
    "parent_of_busy": """
    inner = [sys.executable, "-c", "import sys; exec(sys.argv[1]); work()", {header!r}]
    outer = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"
    subprocess.run([sys.executable, "-c", outer, *inner], check=True)
""",
    "deadlocked": """
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
""",
    "parent_of_deadlocked": """
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, file=open("child", "w"))
    child.wait()
""",
    # It holds the interpreter's lock: no other thread runs.
    "locked": "ctypes.PyDLL(None).sleep(600)",
    "distributed": "threading.Event().wait()",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Output, errors, exit code and folder of a session for each test above, all begun at once."""
    header = HEADER.format(busy=2 * SECONDS)
    started = {}
    for name, body in TESTS.items():
        folder = tmp_path_factory.mktemp(name)
        test = f"def test_{name}():\n    {body.format(header=header).strip()}\n"
        (folder / f"test_{name}.py").write_text(f"{header}\n{test}\ndef test_next():\n    pass\n")
        seconds = SECONDS / 10 if name == "locked" else SECONDS
        (folder / "pytest.ini").write_text(f"[pytest]\nwatchdog_seconds = {seconds}\n")
        workers = ["-p", "xdist", "-n", "1"] if name == "distributed" else []
        started[name] = start(folder, *workers), folder
    return {
        name: (*process.communicate(), process.returncode, folder)
        for name, (process, folder) in started.items()
    }


def start(folder, *options):
    options = ["-q", "-p", "watchdog", "-p", "no:cacheprovider", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        # Without what a worker of this session hands down.
        env={"PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", ["busy", "parent_of_busy"])
def test_work_here_and_in_processes_below_may_take_its_time(ended, name):
    out, err, code, _ = ended[name]
    assert code == 0, out + err
    assert "2 passed" in out


def test_a_test_that_stands_still_is_ended_and_named(ended):
    _, err, code, _ = ended["deadlocked"]
    assert code == 1
    assert "watchdog: test_deadlocked.py::test_deadlocked has stood still for 4 seconds" in err
    assert "in test_deadlocked\n" in err


def test_and_takes_along_the_processes_it_waits_for(ended):
    _, err, code, folder = ended["parent_of_deadlocked"]
    assert code == 1
    assert "test_parent_of_deadlocked has stood still" in err
    child = int((folder / "child").read_text())
    assert not Path(f"/proc/{child}/exe").exists()


def test_a_deadlock_that_holds_the_interpreter_ends_too(ended):
    _, err, code, _ = ended["locked"]
    assert code == 1
    assert "Timeout" in err and "in test_locked\n" in err


def test_a_worker_is_replaced_and_its_test_fails(ended):
    out, err, code, _ = ended["distributed"]
    assert code == 1
    assert "test_distributed has stood still" in err
    assert "crashed while running 'test_distributed.py::test_distributed'" in out
    assert "1 failed, 1 passed" in out
