"""Execution of a study: every run that is not finished, one after another, then the results."""

from typing import NamedTuple

import xarray as xr
from etils import epath

from rare_retention.config import difference, from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import read_json, write_json
from rare_retention.record.manifest import read_manifest
from rare_retention.study.grid import Cell, Study, cells
from rare_retention.study.results import RESULTS, RUNS, gather, save
from rare_retention.train.loop import train

STUDY, FAILURE = "study.json", "failure.json"


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
    claim(study, workdir)
    finished, failed = 0, {}
    for cell in cells(study):
        folder = workdir / RUNS / cell.name
        if is_finished(cell, folder):
            finished += 1
            continue
        failure = folder / FAILURE
        if failure.exists() and not retry_failed:
            failed[cell.name] = read_json(failure)["reason"]
            continue
        try:
            step = train(cell.run, folder, cell.name)
        except (UserError, OSError, MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # one broken run must not take the others with it
            failed[cell.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            write_json(failure, {"reason": failed[cell.name]})
            continue
        failure.unlink(missing_ok=True)
        if step < cell.run.steps:
            return Outcome(finished, failed, stopped=True)
        finished += 1
    return Outcome(finished, failed, stopped=False)


def collect(study: Study, workdir: epath.Path) -> xr.Dataset:
    """Gathers the results of a study and writes them to results.nc."""
    results = gather(study, workdir)
    save(results, workdir / RESULTS)
    return results


def is_finished(cell: Cell, folder: epath.Path) -> bool:
    """Whether a run of exactly this recipe has reached its last step."""
    about = read_manifest(folder)
    return (
        about is not None
        and about["identity"] == cell.run.identity()
        and about["status"] == "finished"
        and about["step"] >= cell.run.steps
    )


def claim(study: Study, workdir: epath.Path) -> None:
    """Makes the workdir this study's own, or checks that it is.

    A study may grow: more streams, more values, more steps, other figures and claims.

    Raises:
        UserError: it holds a study of another name or recipe.
    """
    path = workdir / STUDY
    if path.exists():
        stored = from_dict(Study, read_json(path))
        changes = difference(
            {"name": stored.name, "run": stored.run.recipe()},
            {"name": study.name, "run": study.run.recipe()},
        )
        varied = tuple(f"run.{axis.field}:" for axis in study.grid)
        changes = [change for change in changes if not change.startswith(varied)]
        if changes:
            raise UserError(
                f"{workdir}: holds another study: {'; '.join(changes)}; choose another --workdir"
            )
    write_json(path, to_dict(study))


def stored_study(workdir: epath.Path) -> Study:
    """The study that a workdir holds.

    Raises:
        UserError: it holds none.
    """
    path = workdir / STUDY
    if not path.exists():
        raise UserError(f"{workdir}: holds no study (there is no {STUDY})")
    return from_dict(Study, read_json(path))
