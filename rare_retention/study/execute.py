"""Execution of a study: every unit that is not finished, one after another."""

import traceback
from collections.abc import Sequence
from typing import NamedTuple

from etils import epath

from rare_retention import hosts
from rare_retention.config import override
from rare_retention.errors import UserError
from rare_retention.parallel import any_host, is_primary
from rare_retention.record import files
from rare_retention.study.folder import claim
from rare_retention.study.grid import Study, Unit, unit_named
from rare_retention.study.progress import FAILURE, Progress
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
    watching: Watching = Watching(),  # noqa: B008, it is frozen
) -> Outcome:
    """Trains what is missing of a study.

    Finished units are skipped; one that fails is recorded and the others go on; it is tried again
    only on request.

    Args:
        study: what to run.
        workdir: of the study; units stand in runs/NAME.
        retry_failed: try units again that failed earlier.
        only: name of the one unit to train; None trains all.
        watching: what is to be seen of them while they are trained.

    Raises:
        UserError: the workdir holds another study.
        ConfigError: there is no such unit.
        Alone: a unit failed on one of several processes; the others cannot go on with this one.
    """
    progress = Progress(study, workdir)
    chosen = progress.units if only is None else [unit_named(study, only)]
    claim(study, workdir, write=is_primary())
    with Interruption() as interruption:
        return _execute(chosen, progress, retry_failed, study.drop_states, interruption, watching)


def _execute(
    chosen: Sequence[Unit],
    progress: Progress,
    retry_failed: bool,
    drop_states: bool,
    interruption: Interruption,
    watching: Watching,
) -> Outcome:
    finished = 0
    failed: dict[str, str] = {}
    for unit in chosen:
        if any_host(interruption.requested):
            return Outcome(finished, failed, stopped=True)
        folder = progress.folder(unit.name)
        if progress.is_finished(unit):
            finished += 1
            continue
        if unit.parent in failed:
            failed[unit.name] = f"{unit.parent}, which it goes on from, has failed"
            continue
        if (folder / FAILURE).exists() and not retry_failed:
            failed[unit.name] = files.read_json(folder / FAILURE)["reason"]
            continue
        try:
            states = {"snapshots.states": tuple(sorted(progress.wanted(unit)))}
            run = override(unit.run, states)
            step = train(run, folder, unit.name, interruption, progress.parent(unit), watching)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # one broken unit must not take the others with it
            alone = not hosts.all_fail()
            failed[unit.name] = _keep(error, folder, write=alone or is_primary())
            if alone:
                raise hosts.Alone(
                    f"{unit.name} has failed on this process alone: {failed[unit.name]}; the "
                    "others leave too, and the same command goes on with the other units"
                ) from error
            continue
        if is_primary():
            for name in (FAILURE, TRACEBACK):
                (folder / name).unlink(missing_ok=True)
        if step < unit.run.steps:
            return Outcome(finished, failed, stopped=True)
        finished += 1
        if drop_states and is_primary():
            progress.drop(unit)
    return Outcome(finished, failed, stopped=False)


def _keep(error: Exception, folder: epath.Path, write: bool) -> str:
    """Why a unit failed, in one line; writes it into its folder, with the traceback."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    reason = f"{reason} (traceback: {folder / TRACEBACK})"
    if write:
        text = "".join(traceback.format_exception(error))
        files.write(folder / TRACEBACK, lambda file: file.write(text.encode()))
        files.write_json(folder / FAILURE, {"reason": reason})
    return reason
