"""A process of a job that is gone: the others leave with a line, and the same command goes on."""

import os
import random
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention import hosts
from rare_retention.record import metrics
from rare_retention.record.manifest import read_manifest

LOSSES = max(int(os.environ.get("FAULTS", "20")) // 100, 2)
RUN = "runs/stream=0"
CHANGES = tiny.CHANGES | {
    "run.mesh.data": "-1",
    "run.steps": "4000",
    "run.measure.every": "160",
    "run.checkpoints.every": "160",
}


def start(workdir, count, *, script="launch.study", changes=CHANGES):
    """The processes of one job on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = [f"--config.{name}={value}" for name, value in changes.items()]
    command = [sys.executable, "-m", script, "--config=configs/synthetic/injection.py", *flags]
    command += [f"--workdir={workdir}", "--config.figures=()", "--config.claims=()"]
    if count > 1:
        command.append("--multihost")

    def one(index):
        own = {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": str(count),
            "JAX_PROCESS_ID": str(index),
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        }
        return subprocess.Popen(
            command,
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return [one(index) for index in range(count)]


def ended(process, timeout=240):
    _, said = process.communicate(timeout=timeout)
    return process.returncode, said.strip().splitlines()[-1:], said


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def lose(workdir, victim, delay=0.0):
    """Kills one of two processes once a checkpoint is there; seconds until the other has left."""
    both = start(workdir, 2)
    wait_for(epath.Path(f"{workdir}/{RUN}/resume/160"), both[victim])
    time.sleep(delay)
    both[victim].kill()
    begin = time.monotonic()
    code, last, said = ended(both[1 - victim])
    both[victim].communicate()
    assert code == hosts.LOST, said
    assert hosts.REMEDY in last[0] and last[0].startswith(f"process {1 - victim} of 2: "), said
    assert not list(workdir.rglob("failure.*"))
    return time.monotonic() - begin


def test_a_lost_process_is_an_interruption_and_one_process_goes_on(tmp_path):
    assert lose(tmp_path, victim=1) < 30 + 30  # and a loaded machine
    reached = read_manifest(epath.Path(tmp_path / RUN)).step
    (alone,) = start(tmp_path, 1, changes=CHANGES | {"run.steps": "48"})
    code, _, said = ended(alone)
    assert code == 0, said
    about = read_manifest(epath.Path(tmp_path / RUN))
    assert about.status == "finished" and about.step >= max(reached, 48)
    assert [part["hardware"]["hosts"] for part in about.parts] == [2, 1]


@pytest.mark.slow
def test_the_first_process_may_be_the_lost_one(tmp_path):
    assert lose(tmp_path, victim=0) < 30 + 30


@pytest.mark.slow
def test_lost_hosts_go_on_to_the_same_bits(tmp_path):
    """Whichever is lost, whenever: the same command with both ends as if nothing had been."""
    for process in start(tmp_path / "whole", 2):
        code, _, said = ended(process)
        assert code == 0, said
    whole, rng = metrics.read(epath.Path(tmp_path / "whole" / RUN)), random.Random(0)
    for number in range(LOSSES):
        workdir = tmp_path / str(number)
        assert lose(workdir, rng.randrange(2), rng.uniform(0, 3)) < 30 + 30
        for process in start(workdir, 2):
            code, _, said = ended(process)
            assert code == 0, said
        found = metrics.read(epath.Path(workdir / RUN))
        assert found.keys() == whole.keys()
        for name, values in whole.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.slow
def test_a_failure_of_one_process_leaves_none_waiting(tmp_path):
    """One cannot write: it says so, and the other does not wait for it."""
    both = start(tmp_path, 2, script="tests.failing_host")
    codes, lasts, said = zip(*map(ended, both), strict=True)
    assert codes[1] == 1 and codes[0] in (1, hosts.LOST), said
    assert "has failed on this process alone: RuntimeError: this host alone" in lasts[1][0], said
    assert "process 1 has failed (Alone: stream=0 has failed on this" in lasts[0][0], said
    assert (tmp_path / RUN / "failure.json").exists()
