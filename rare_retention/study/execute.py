"""Execution of a study: every run that is not finished, one after another, then the results."""

from typing import NamedTuple

from etils import epath

from rare_retention.errors import UserError
from rare_retention.parallel import any_host, is_primary
from rare_retention.record.files import read_json, write_json
from rare_retention.record.manifest import read_manifest
from rare_retention.study.folder import RUNS, claim
from rare_retention.study.grid import Cell, Study, cells
from rare_retention.train.interruption import Interruption
from rare_retention.train.loop import train

FAILURE = "failure.json"


class Outcome(NamedTuple):
    """What became of the runs of a study.

    Attributes:
        finished: runs that reached their last step, now or earlier.
        failed: name of each failed run -> why, in one line.
        stopped: whether a signal asked to stop before all runs were done.
    """

    finished: int
    failed: dict[str, str]
    stopped: bool


def execute(study: Study, workdir: epath.Path, retry_failed: bool = False) -> Outcome:
    """Trains what is missing of a study.

    Finished runs are skipped; a run that fails is recorded and the others go on; it is tried again
    only on request.

    Args:
        study: what to run.
        workdir: of the study; runs stand in runs/NAME.
        retry_failed: try runs again that failed earlier.

    Raises:
        UserError: the workdir holds another study.
    """
    claim(study, workdir, write=is_primary())
    with Interruption() as interruption:
        return _execute(study, workdir, retry_failed, interruption)


def _execute(
    study: Study, workdir: epath.Path, retry_failed: bool, interruption: Interruption
) -> Outcome:
    finished = 0
    failed: dict[str, str] = {}
    for cell in cells(study):
        if any_host(interruption.requested):
            return Outcome(finished, failed, stopped=True)
        folder = workdir / RUNS / cell.name
        if is_finished(cell, folder):
            finished += 1
            continue
        failure = folder / FAILURE
        if failure.exists() and not retry_failed:
            failed[cell.name] = read_json(failure)["reason"]
            continue
        try:
            step = train(cell.run, folder, cell.name, interruption)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # one broken run must not take the others with it
            failed[cell.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if is_primary():
                write_json(failure, {"reason": failed[cell.name]})
            continue
        if is_primary():
            failure.unlink(missing_ok=True)
        if step < cell.run.steps:
            return Outcome(finished, failed, stopped=True)
        finished += 1
    return Outcome(finished, failed, stopped=False)


def is_finished(cell: Cell, folder: epath.Path) -> bool:
    """Whether a run of exactly this recipe has reached its last step."""
    about = read_manifest(folder)
    return (
        about is not None
        and about["identity"] == cell.run.identity()
        and about["status"] == "finished"
        and about["step"] >= cell.run.steps
    )
