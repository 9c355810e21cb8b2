"""What the launcher does with a slice: create, setup, run, logs, fetch, delete."""

import time
from collections.abc import Callable
from pathlib import Path

from launch.tpu import checkout, checks, remote
from launch.tpu.part import State
from launch.tpu.runner import CommandFailed, Runner, do
from launch.tpu.slice import Slice, api, everywhere, look, usable
from launch.tpu.spec import Spec
from rare_retention.errors import UserError
from rare_retention.wording import plural

REPORT = ("report.html", "claims.json", "results.nc", "figures")
"""Of a study that is finished, in its workdir."""

Say = Callable[[str], None]


def create(spec: Spec, runner: Runner, say: Say, pause: float) -> Slice:
    """Checks all that can be checked, creates what is not there yet, and waits until it is ready.

    Args:
        spec: of the slice.
        runner: of the commands.
        say: for lines about what was done.
        pause: seconds between two looks.

    Raises:
        UserError: a check failed, or the slice will not come.
    """
    spec.need("workdir")
    for line in checks.check(spec, runner):
        say(line)
    parts = api(spec).parts(spec)
    found = [part.find(runner) for part in parts]
    for part, already in zip(parts, found, strict=True):
        if already is None:
            do(runner, part.create)
        say(f"{part.what}: {'is there already' if already else 'created'}")
    return _wait(spec, runner, say, pause)


def _wait(spec: Spec, runner: Runner, say: Say, pause: float) -> Slice:
    told = ""
    while True:
        found = look(spec, runner)
        if found.says != told:
            say(f"slice {spec.name}: {found.says}")
            told = found.says
        if found.state is State.READY:
            return found
        if found.state is not State.WAITING:
            lost = CommandFailed if found.state is State.GONE else UserError
            raise lost(
                f"slice {spec.name} is {found.state.value} ({found.says}); `delete` clears it away"
            )
        time.sleep(pause)


def setup(spec: Spec, runner: Runner, say: Say) -> None:
    """Puts the project's files on all hosts and installs them.

    Raises:
        UserError: a host cannot be reached, cannot write the workdir, or fails to install.
    """
    spec.need("workdir")
    commit = checkout.commit(spec)
    found = usable(spec, runner)
    if commit:
        do(runner, checkout.upload(spec, commit))
    everywhere(spec, runner, found, remote.setup(spec, commit), ["installed"])
    say(f"installed {commit[:12] or f'{spec.repo} {spec.ref}'} on {plural(spec.workers, 'host')}")


def run(spec: Spec, runner: Runner, say: Say) -> None:
    """Starts the command on all hosts, where it does not run already.

    Raises:
        UserError: a host cannot be reached, is not set up, or runs something else.
    """
    spec.need("workdir", "command")
    found = usable(spec, runner)
    said = everywhere(spec, runner, found, remote.run(spec), ["started", "running"])
    started = sum(one.word == "started" for one in said)
    say(f"started on {plural(started, 'host')}, ran already on {len(said) - started}")


def logs(spec: Spec, runner: Runner, worker: int, follow: bool, lines: int = 50) -> int:
    """Shows the log of one host; returns the exit code.

    Raises:
        UserError: there is no such host.
    """
    if not 0 <= worker < spec.workers:
        raise UserError(f"--worker={worker}: the hosts are 0 to {spec.workers - 1}")
    found = usable(spec, runner)
    (command,) = api(spec).ssh(spec, remote.logs(lines, follow), found.hosts, worker)
    return runner.show(command)


def fetch(spec: Spec, runner: Runner, say: Say, to: Path) -> None:
    """Copies the report from the workdir to this machine.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    spec.need("workdir")
    do(runner, ("mkdir", "-p", str(to)))
    files = [f"{spec.workdir.rstrip('/')}/{name}" for name in REPORT]
    do(runner, ("gcloud", "storage", "cp", "--recursive", *files, f"{to}/"))
    say(f"report: {to / REPORT[0]}")


def delete(spec: Spec, runner: Runner, say: Say) -> None:
    """Deletes what the launcher has created; the bucket and all in it stay.

    Raises:
        UserError: something of its name was not created by the launcher; then nothing is deleted.
    """
    parts = api(spec).parts(spec)
    assumed, _ = api(spec).ready(spec)
    found = [part.find(runner, assumed) for part in parts]
    for part, there in reversed(list(zip(parts, found, strict=True))):
        if there is not None:
            do(runner, part.delete)
        say(f"{part.what}: {'deleted' if there is not None else 'is not there'}")
