"""Execution of a study: every unit that is not finished and that nobody else trains."""

import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

from etils import epath

from rare_retention import hosts
from rare_retention.config import override
from rare_retention.errors import Damaged, UserError
from rare_retention.parallel import any_host, is_primary
from rare_retention.record import files
from rare_retention.record.lock import Lost
from rare_retention.study.folder import claim
from rare_retention.study.grid import Study, unit_named
from rare_retention.study.progress import FAILURE, Progress
from rare_retention.study.queue import Busy, Queue, Taken
from rare_retention.study.waiting import Patience, shown
from rare_retention.train.interruption import Interruption
from rare_retention.train.loop import train
from rare_retention.watch.watching import Watching

TRACEBACK = "failure.txt"
"""Where the traceback of a failed unit stands, in its folder: for authors of extensions."""


class Outcome(NamedTuple):
    """What became of the units of a study.

    Attributes:
        finished: units that reached their last step, now or earlier.
        failed: name of each failed unit -> why, in one line.
        stopped: whether a signal asked to stop before all units were done.
    """

    finished: int
    failed: dict[str, str]
    stopped: bool


def execute(
    study: Study,
    workdir: epath.Path,
    retry_failed: bool = False,
    only: str | None = None,
    *,
    watching: Watching = Watching(),  # noqa: B008, it is frozen
    begin: bool = True,
    wait: bool = True,
    say: Callable[[str], object] = lambda _: None,
) -> Outcome:
    """Trains what is missing of a study, as one of any number of workers.

    Finished units are skipped, those that others hold are passed over. One that fails is recorded
    and the others go on; it is tried again only on request. One whose files are damaged is named,
    and tried again by whoever comes next.

    Args:
        study: what to run.
        workdir: of the study; units stand in runs/NAME.
        retry_failed: try units again that failed earlier.
        only: name of the one unit to train; None trains all.
        watching: what is to be seen of them while they are trained.
        begin: keep the study in the workdir; otherwise it was read from there.
        wait: stay until the units of others are done, and take over those of workers that end.
        say: takes lines for the user.

    Raises:
        UserError: the workdir holds another study.
        Held: another process holds the one unit.
        ConfigError: there is no such unit.
        Alone: a unit failed on one of several processes; the others cannot go on with this one.
    """
    progress = Progress(study, workdir)
    queue = Queue(progress, retry_failed, None if only is None else unit_named(study, only))
    claim(study, workdir, write=begin and is_primary())
    with Interruption() as interruption:
        stopped = not _work(queue, progress, study.drop_states, interruption, watching, wait, say)
    finished, failed, left = queue.state()
    return Outcome(finished, failed, stopped and left > 0)


def _work(
    queue: Queue,
    progress: Progress,
    drop_states: bool,
    interruption: Interruption,
    watching: Watching,
    wait: bool,
    say: Callable[[str], object],
) -> bool:
    """Trains unit after unit; whether it was left to end by itself."""
    patience = Patience(say)
    while not any_host(interruption.requested):
        taken = queue.take()
        if taken is None:
            return True
        if isinstance(taken, Busy):
            if not wait:
                say(f"left to other workers: {shown(taken.units)}")
                return True
            patience.wait(taken.units, interruption)
            continue
        patience.over()
        with taken:
            finished = _train(taken, queue, progress, interruption, watching, say)
            if finished and drop_states and is_primary():
                progress.drop(taken.unit)
    return False


def _train(
    taken: Taken,
    queue: Queue,
    progress: Progress,
    interruption: Interruption,
    watching: Watching,
    say: Callable[[str], object],
) -> bool:
    """Trains a unit that was taken, or keeps why it failed; whether it reached its last step."""
    unit, folder = taken.unit, progress.folder(taken.unit.name)
    try:
        states = {"snapshots.states": tuple(sorted(progress.wanted(unit)))}
        run = override(unit.run, states)
        parent = progress.parent(unit)
        step = train(run, folder, unit.name, interruption, parent, watching, taken.lock)
    except Lost as error:  # whoever has it now goes on with it
        say(str(error))
        return False
    except Exception as error:  # one broken unit must not take the others with it
        damaged = str(error) if isinstance(error, Damaged) else None
        if isinstance(error, (UserError, OSError, MemoryError)) and not damaged:
            raise
        alone = not hosts.all_fail()
        reason = damaged or _keep(error, folder, write=alone or is_primary())
        if alone:
            raise hosts.Alone(
                f"{unit.name} has failed on this process alone: {reason}; the others leave too, "
                "and the same command goes on with the other units"
            ) from error
        queue.failed(unit, damaged)
        return False
    if is_primary():
        for name in (FAILURE, TRACEBACK):
            (folder / name).unlink(missing_ok=True)
    if step < unit.run.steps:
        return False
    queue.done(unit)
    return True


def _keep(error: Exception, folder: epath.Path, write: bool) -> str:
    """Why a unit failed, in one line; writes it into its folder, with the time and traceback."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    reason = f"{reason} (traceback: {folder / TRACEBACK})"
    if write:
        text = "".join(traceback.format_exception(error))
        files.write(folder / TRACEBACK, lambda file: file.write(text.encode()))
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        files.write_json(folder / FAILURE, {"reason": reason, "when": when})
    return reason
