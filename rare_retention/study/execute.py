"""Execution of a study: every unit that is not finished, one after another."""

import traceback
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from etils import epath

from rare_retention.errors import UserError
from rare_retention.parallel import any_host, is_primary
from rare_retention.record.files import read_json, write, write_json
from rare_retention.record.manifest import read_manifest
from rare_retention.study.folder import RUNS, claim
from rare_retention.study.grid import Study, Unit, unit_named, units
from rare_retention.train.interruption import Interruption
from rare_retention.train.loop import train

FAILURE = "failure.json"
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
    study: Study, workdir: epath.Path, retry_failed: bool = False, only: str | None = None
) -> Outcome:
    """Trains what is missing of a study.

    Finished units are skipped; one that fails is recorded and the others go on; it is tried again
    only on request.

    Args:
        study: what to run.
        workdir: of the study; units stand in runs/NAME.
        retry_failed: try units again that failed earlier.
        only: name of the one unit to train; None trains all.

    Raises:
        UserError: the workdir holds another study.
        ConfigError: there is no such unit.
    """
    chosen = units(study) if only is None else [unit_named(study, only)]
    claim(study, workdir, write=is_primary())
    with Interruption() as interruption:
        return _execute(chosen, workdir, retry_failed, interruption)


def _execute(
    chosen: Sequence[Unit], workdir: epath.Path, retry_failed: bool, interruption: Interruption
) -> Outcome:
    finished = 0
    failed: dict[str, str] = {}
    for unit in chosen:
        if any_host(interruption.requested):
            return Outcome(finished, failed, stopped=True)
        folder = workdir / RUNS / unit.name
        if is_finished(unit, folder):
            finished += 1
            continue
        if (folder / FAILURE).exists() and not retry_failed:
            failed[unit.name] = read_json(folder / FAILURE)["reason"]
            continue
        try:
            step = train(unit.run, folder, unit.name, interruption)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # one broken unit must not take the others with it
            failed[unit.name] = _keep(error, folder)
            continue
        if is_primary():
            for name in (FAILURE, TRACEBACK):
                (folder / name).unlink(missing_ok=True)
        if step < unit.run.steps:
            return Outcome(finished, failed, stopped=True)
        finished += 1
    return Outcome(finished, failed, stopped=False)


def _keep(error: Exception, folder: epath.Path) -> str:
    """Writes why a unit failed into its folder, with the traceback; returns it in one line."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    reason = f"{reason} (traceback: {folder / TRACEBACK})"
    if is_primary():
        text = "".join(traceback.format_exception(error))
        write(folder / TRACEBACK, lambda file: file.write(text.encode()))
        write_json(folder / FAILURE, {"reason": reason})
    return reason


def is_finished(unit: Unit, folder: epath.Path) -> bool:
    """Whether a run of exactly this recipe has reached its last step."""
    about = read_manifest(folder)
    return (
        about is not None
        and about.identity == unit.run.identity()
        and about.status == "finished"
        and about.step >= unit.run.steps
    )


def progress(study: Study, workdir: epath.Path) -> Iterator[str]:
    """A line for each unit of a study: its name, and how far it is.

    Read from the folders alone: neither the corpus nor an accelerator need be there.
    """
    for unit in units(study):
        folder = workdir / RUNS / unit.name
        about = read_manifest(folder)
        step, last = (0 if about is None else about.step), unit.run.steps
        if (folder / FAILURE).exists():
            state = f"failed: {read_json(folder / FAILURE)['reason']}"
        elif about is None:
            state = "not started"
        elif about.status == "finished" and step >= last:
            state = "finished"
        else:
            state = f"at step {step:,} of {last:,} or beyond"
        yield f"{unit.name}  {state}"
