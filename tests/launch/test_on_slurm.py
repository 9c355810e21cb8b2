"""The script of a job array, run by a shell whose commands of SLURM record what they are told."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
from absl import flags
from absl.testing import flagsaver

from launch import on_slurm
from rare_retention import flags as command_line
from rare_retention.errors import UserError

WORKER = ["--config=configs/x.py", "--config.grid=({'field': 'a b'},)", "--workdir=/shared/a b"]


def call(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return on_slurm.main(command_line.parse(["launch", *arguments]))


@pytest.fixture
def script(tmp_path, capsys):
    """A script of four workers."""
    own = ["--workers=4", "--gpus=2", "--sbatch=--time=1:00:00", "--sbatch=--partition=long"]
    assert call(*own, "--", *WORKER) == 0
    path = tmp_path / "study.sbatch"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.fixture
def slurm(tmp_path):
    """An environment whose srun starts what waits for a signal, and whose scontrol takes notes."""
    commands = tmp_path / "bin"
    commands.mkdir()
    worker = "import os,signal,time;signal.signal(15, lambda *_: os._exit(130));"
    worker += f"open({str(tmp_path / 'ready')!r}, 'w').write(str(os.getpid()));time.sleep(60)"
    for name, line in (
        ("srun", f'printf "%s\\n" "$@" > {tmp_path}/told; exec {sys.executable} -c "{worker}"'),
        ("scancel", f'[ "$*" = "--signal=TERM 17" ] && kill -TERM $(cat {tmp_path}/ready)'),
        ("scontrol", f'echo "$@" > {tmp_path}/queued'),
    ):
        (commands / name).write_text(f"#!/bin/bash\n{line}\n")
        (commands / name).chmod(0o755)
    return os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}


def test_the_script_is_one_that_bash_reads_and_sbatch_too(script):
    subprocess.run(["bash", "-n", script], check=True)
    lines = script.read_text().splitlines()
    options = [shlex.split(line)[1] for line in lines if line.startswith("#SBATCH")]
    assert lines[0] == "#!/bin/bash" and lines[1].startswith("#SBATCH")
    for option in ("--array=0-3", "--gpus-per-node=2", "--time=1:00:00", "--partition=long"):
        assert option in options
    assert "--signal=B:USR1@300" in options and "--requeue" in options


@pytest.mark.parametrize(("number", "queued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_worker_saves_and_is_queued_again_near_its_limit(script, slurm, tmp_path, number, queued):
    """By a signal of SLURM's; one that the user ends is not."""
    job = subprocess.Popen(["bash", script], env=slurm)
    until = time.monotonic() + 60
    ready = tmp_path / "ready"
    while not (ready.exists() and ready.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    job.send_signal(number)
    if number == signal.SIGTERM:  # which SLURM sends to both
        os.kill(int(ready.read_text()), number)
    assert job.wait(30) == 130
    told = (tmp_path / "told").read_text().splitlines()
    assert told == [sys.executable, "-m", "launch.worker", *WORKER]
    assert (tmp_path / "queued").exists() is queued
    if queued:
        assert (tmp_path / "queued").read_text() == "requeue 17\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=4"], "the worker's own flags are missing"),
        (["--workers=4", "--", "--config=x"], "the worker's own flags are missing"),
        (["--workers=0", "--", "--workdir=x"], "workers=0"),
    ],
)
def test_what_is_missing_is_said(arguments, message):
    with pytest.raises(UserError, match=message):
        call(*arguments)
