"""Workers as tasks of a local Ray cluster; where Ray is not installed, only what they return."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import tiny
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import on_ray
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record.lock import NAME as LOCK
from rare_retention.record.manifest import read_manifest
from rare_retention.study.grid import units
from rare_retention.study.progress import Progress


@pytest.mark.parametrize("code", [0, 1, 2, 130, -9])
def test_what_has_ended_by_itself_is_not_started_again(code, monkeypatch):
    monkeypatch.setattr(on_ray.subprocess, "call", lambda command: code)
    if code in (0, 1, 2):
        assert on_ray.work([]) == code
    else:
        with pytest.raises(RuntimeError, match=f"stopped .exit code {code}"):
            on_ray.work([])


def test_a_worker_needs_its_workdir():
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        argv = ["launch", "--workers=1", "--", "--config=x"]
        with pytest.raises(UserError, match="the worker's own flags are missing"):
            on_ray.main(command_line.parse(argv))


def test_a_worker_that_is_killed_is_started_again(tmp_path):
    """Two workers of a cluster on this machine: the first that trains is killed, all is done."""
    pytest.importorskip("ray")
    workdir, study = epath.Path(tmp_path / "study"), tiny.study(streams=3)
    own = tiny.CHANGES | {"streams": "3"}
    worker = ["--config=configs/synthetic/injection.py", f"--workdir={workdir}"]
    worker += [f"--config.{name}={value}" for name, value in own.items()]
    command = [sys.executable, "-m", "launch.on_ray", "--workers=2", "--cpus=0.5", "--"]
    job = subprocess.Popen([*command, *worker], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lock = workdir / "runs" / "stream=0" / LOCK
    try:
        until = time.monotonic() + 300
        while not (workdir / "runs" / "stream=0" / "manifest.json").exists():
            assert time.monotonic() < until and job.poll() is None
            time.sleep(0.1)
        os.kill(json.loads(lock.read_text())["process"], signal.SIGKILL)
        said, _ = job.communicate(timeout=300)
    finally:
        job.terminate()  # and with it the cluster
        job.wait()
    assert job.returncode == 0, said.decode()
    progress = Progress(study, workdir)
    assert all(map(progress.is_finished, units(study)))
    assert len(read_manifest(workdir / "runs" / "stream=0").starts) == 2
