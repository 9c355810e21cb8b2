"""Workers of one study: real processes, whose results are those of one process to the last bit."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import tiny
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import worker
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
from rare_retention.record.files import listed
from rare_retention.record.holder import read
from rare_retention.record.lock import NAME as LOCK
from rare_retention.record.lock import Lock
from rare_retention.record.manifest import read_manifest
from rare_retention.record.records import RESUME, RETENTION, STATES, steps_in
from rare_retention.study.execute import execute
from rare_retention.study.folder import claim, stored_study
from rare_retention.study.grid import Study, check_flags, units
from rare_retention.study.inspection import inspect
from rare_retention.study.results import gather

CONFIG = "--config=configs/synthetic/injection.py"
SMALL = {"run.steps": "16", "run.measure.cycles": "1", "streams": "3"}
BRANCHES = ({"name": "a", "at": 20, "steps": 8}, {"name": "b", "of": "a", "at": 24, "steps": 8})
LARGE = {
    "streams": "4",
    "grid": "({'field': 'optimizer.peak', 'values': (0.003, 0.01)},)",
    "branches": str(BRANCHES),
}


@pytest.fixture(scope="module", autouse=True)
def config_flag():
    if "config" not in flags.FLAGS:
        flags.DEFINE_string("config", None, "as `flags.run` defines it")


def call(*arguments):
    """Exit code of the launcher in this process; its UserError passes through."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        argv = ["launch", *arguments]
        return worker.main(command_line.parse(argv, Study, check=check_flags, optional=True))


def start(workdir, *arguments, log, **environment):
    """A worker as a shell starts it; what it says goes to a file."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "launch.worker", f"--workdir={workdir}", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,
        )


def config(changes):
    return [CONFIG, *(f"--config.{name}={v}" for name, v in (tiny.CHANGES | changes).items())]


def study(changes):
    return tiny.study(**{name.replace(".", "__"): value for name, value in changes.items()})


def check_equal(study, workdir, alone):
    """All that two workdirs have kept of each unit is the same, and every file is whole."""
    assert not list(inspect(workdir)) and stored_study(workdir) == study
    for unit in units(study):
        one, two = (folder / "runs" / unit.name for folder in (alone, workdir))
        assert not (two / LOCK).exists()
        mine, theirs = metrics.read(one), metrics.read(two)
        assert mine.keys() == theirs.keys()
        for name, values in mine.items():
            np.testing.assert_array_equal(theirs[name], values, err_msg=f"{unit.name} {name}")
        for root in (RESUME, RETENTION, STATES):
            assert steps_in(two / root) == steps_in(one / root)
            for step in steps_in(one / root):
                pairs = (jax.tree.leaves(verify(folder / root, step)) for folder in (one, two))
                for a, b in zip(*pairs, strict=True):
                    np.testing.assert_array_equal(a, b)
    assert gather(study, workdir).equals(gather(study, alone))


def starts(study, workdir):
    """Name of each unit -> processes that have taken it up."""
    return {
        unit.name: [each["process"] for each in read_manifest(workdir / "runs" / unit.name).starts]
        for unit in units(study)
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The small study, trained by one process."""
    workdir = epath.Path(tmp_path_factory.mktemp("alone"))
    assert execute(study(SMALL), workdir) == (3, {}, False)
    return workdir


def test_two_workers_share_a_study_and_wait_for_what_a_third_holds(alone, tmp_path):
    """The third is this process. Both start on an empty workdir, one makes the report."""
    workdir = epath.Path(tmp_path / "shared")
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    with Lock(workdir / "runs" / "stream=0"):
        each = [
            start(workdir, *config(SMALL), *report, log=log)
            for log, report in zip(logs, (["--report"], []), strict=True)
        ]
        held = f"waiting for units of other workers: stream=0 (process {os.getpid()} on ".encode()
        until = time.monotonic() + 300
        while not all(held in log.read_bytes() for log in logs):
            assert time.monotonic() < until, [log.read_text() for log in logs]
            time.sleep(0.1)
        assert not (workdir / "report.html").exists()
    codes = [process.wait() for process in each]
    assert codes == [0, 0], [log.read_text() for log in logs]
    assert all("3 units finished, 0 failed" in log.read_text() for log in logs)
    assert (workdir / "report.html").exists()
    assert all(len(own) == 1 for own in starts(study(SMALL), workdir).values())
    check_equal(study(SMALL), workdir, alone)


def test_a_worker_knows_the_study_by_its_workdir_and_leaves_when_told_so(tmp_path, capsys):
    own, workdir = study(SMALL | {"streams": "2"}), epath.Path(tmp_path)
    claim(own, workdir)
    before = (workdir / "study.json").read_bytes()
    with Lock(workdir / "runs" / "stream=1"):
        assert call(f"--workdir={workdir}", "--nowait") == 0
    said = capsys.readouterr().out
    assert "left to other workers: stream=1 (process " in said
    assert "1 unit finished, 0 failed" in said and "python -m launch.report --workdir=" in said
    assert (workdir / "study.json").read_bytes() == before
    assert read_manifest(workdir / "runs" / "stream=0").status == "finished"
    assert call(f"--workdir={workdir}", "--dry_run") == 0
    assert "units      2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "holds no study yet; --config=FILE.py says which one to begin"),
        (["--config.streams=2"], "--config is required"),
        (["--report", "--nowait"], "--report comes when all is done, and --nowait leaves before"),
        (["--per_device", "--multihost"], "--per_device starts workers of one device each: leave"),
        (["--per_device", "--dry_run"], "leave out --dry_run"),
        (["--per_device"], "--per_device: there is no GPU or TPU here"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr(worker._per_device, "DEVICES", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    workdir = tmp_path / "new"
    with pytest.raises(UserError, match=message):
        call(*arguments, f"--workdir={workdir}")
    assert not workdir.exists()


@pytest.mark.slow
def test_each_device_has_a_worker_and_the_report_is_made_once(alone, tmp_path, monkeypatch):
    """The devices are no real ones: each process trains on its CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    argv = [*config(SMALL), f"--workdir={tmp_path}", "--per_device", "--report"]
    monkeypatch.setattr(sys, "argv", ["launch/worker.py", *argv])
    assert call(*argv) == 0
    assert (tmp_path / "report.html").exists()
    found = starts(study(SMALL), epath.Path(tmp_path))
    assert all(len(own) == 1 for own in found.values())
    assert os.getpid() not in {process for own in found.values() for process in own}
    check_equal(study(SMALL), epath.Path(tmp_path), alone)


@pytest.mark.slow
def test_a_worker_of_two_hosts_shares_with_one_of_one(tmp_path):
    """The first host looks and locks for both; units of the other worker are passed over."""
    workdir = epath.Path(tmp_path / "shared")
    own = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        job = {
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free.getsockname()[1]}",
            "JAX_NUM_PROCESSES": "2",
        }
    flags = config(SMALL | {"streams": "4", "run.mesh.data": "-1"})
    logs = [tmp_path / f"{i}.log" for i in range(3)]
    each = [start(workdir, *flags, log=logs[2], **own)]
    for i in range(2):
        numbered = own | job | {"JAX_PROCESS_ID": str(i)}
        each.append(start(workdir, *flags, "--multihost", log=logs[i], **numbered))
    codes = [process.wait() for process in each]
    assert codes == [0] * 3, [log.read_text()[-2000:] for log in logs]
    found = [read_manifest(workdir / "runs" / f"stream={i}") for i in range(4)]
    assert all(about.status == "finished" and len(about.starts) == 1 for about in found)
    assert {about.hardware["hosts"] for about in found} == {1, 2}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A study of 24 units, 16 of them branches, trained by one process."""
    workdir = epath.Path(tmp_path_factory.mktemp("large"))
    assert execute(study(LARGE), workdir) == (24, {}, False)
    return workdir


@pytest.mark.slow
def test_eight_workers_train_every_unit_once(large, tmp_path):
    workdir = epath.Path(tmp_path / "shared")
    logs = [tmp_path / f"{i}.log" for i in range(8)]
    each = [start(workdir, *config(LARGE), log=log) for log in logs]
    codes = [process.wait() for process in each]
    assert codes == [0] * 8, [log.read_text()[-2000:] for log in logs]
    found = starts(study(LARGE), workdir)
    assert all(len(own) == 1 for own in found.values())
    assert len({own[0] for own in found.values()}) > 1
    check_equal(study(LARGE), workdir, large)


@pytest.mark.slow
def test_workers_that_are_killed_leave_the_study_to_the_others(large, tmp_path):
    """Of three workers one is killed and replaced now and then, ten times; then all are done."""
    workdir, rng = epath.Path(tmp_path / "shared"), random.Random(0)
    logs = [tmp_path / f"{i}.log" for i in range(13)]
    waiting = iter(logs)
    each = [start(workdir, *config(LARGE), log=next(waiting)) for _ in range(3)]
    killed = []
    for log in waiting:
        time.sleep(rng.uniform(0.5, 12.0))
        victim = each.pop(rng.randrange(3))
        if victim.poll() is None:
            os.killpg(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)
        victim.wait()
        each.append(start(workdir, *config(LARGE), log=log))
    codes = [process.wait() for process in each]
    assert codes == [0] * 3, [log.read_text()[-2000:] for log in logs]
    found = starts(study(LARGE), workdir)
    assert killed and any(len(own) > 1 for own in found.values())
    check_equal(study(LARGE), workdir, large)


def killed_at_random(workdir, job, count, rng):
    """Kills workers that train, now and then; how many before the job has ended."""
    killed = 0
    while killed < count and job.poll() is None:
        time.sleep(rng.uniform(0.5, 8.0))
        held = [read(folder / LOCK) for folder in listed(workdir / "runs", "*")]
        at_work = [about["process"] for about in held if about and about["process"] != "?"]
        if at_work:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(rng.choice(at_work), signal.SIGKILL)
                killed += 1
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 6])
def test_eight_workers_of_a_ray_cluster(large, tmp_path, kills):
    """Those that are killed are started again by Ray, and somebody goes on with their units."""
    pytest.importorskip("ray")
    workdir, log = epath.Path(tmp_path / "shared"), tmp_path / "said"
    command = [sys.executable, "-m", "launch.on_ray", "--workers=8", "--cpus=0.125", "--"]
    with log.open("wb") as said:
        job = subprocess.Popen(
            [*command, *config(LARGE), f"--workdir={workdir}"], stdout=said, stderr=said
        )
    try:
        assert killed_at_random(workdir, job, kills, random.Random(0)) == kills
        job.wait(timeout=1800)
    finally:
        job.terminate()  # and with it the cluster
        job.wait()
    assert job.returncode == 0, log.read_text()[-2000:]
    found = starts(study(LARGE), workdir)
    assert any(len(own) > 1 for own in found.values()) == bool(kills)
    assert len({process for own in found.values() for process in own}) > 1
    check_equal(study(LARGE), workdir, large)
