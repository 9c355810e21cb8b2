"""What of a study's files is damaged, missing or not what its place says; and what mends it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from etils import epath

from rare_retention.errors import ConfigError, UserError
from rare_retention.record import metrics, records
from rare_retention.record.checkpoints import about_checkpoint, verify
from rare_retention.record.dataset import load
from rare_retention.record.exposures import NAME as EXPOSURES
from rare_retention.record.exposures import read_exposures
from rare_retention.record.files import CONFIG, listed, read_record
from rare_retention.record.manifest import NAME as MANIFEST
from rare_retention.record.manifest import Manifest, read_manifest
from rare_retention.record.records import RESUME, RETENTION, STATES, steps_in
from rare_retention.study import folder
from rare_retention.study.folder import DEFINITIONS, RECIPE, RESULTS, RUNS, STUDY
from rare_retention.study.results import EVIDENCE, load_own

PARTS = "evidence"
"""Folder of a run with the parts of its evidence."""

ASIDE = ".damaged"
"""What is added to the name of a file that was set aside."""


class Fault(NamedTuple):
    """A file that is not what it was.

    Attributes:
        path: of the file or folder.
        why: one line.
        mends: whether the program that wrote it makes it again once it is set aside.
    """

    path: epath.Path
    why: str
    mends: bool


def inspect(workdir: epath.Path, read: Callable[[str], object] = lambda _: None) -> Iterator[Fault]:
    """Reads every file of a study, or of one run, and compares it with its digest.

    Args:
        workdir: of the study, or a run's folder.
        read: is called with the name of each thing that is about to be read.
    """
    whole = (workdir / RUNS).exists()
    for name, load_file in (
        (RECIPE, folder.stored_study),
        (STUDY, folder.stored_study),
        (DEFINITIONS, folder.stored_definitions),
    ):
        if whole and name != DEFINITIONS and not (workdir / name).exists():
            yield Fault(workdir / name, f"{workdir / name}: is not there", name == STUDY)
        elif (workdir / name).exists():
            read(name)
            # Those of a study are written anew by launch.study but for what is fixed.
            yield from _fault(workdir / name, partial(load_file, workdir), name == STUDY, name)
    for name in (RESULTS, EVIDENCE):
        if (workdir / name).exists():
            read(name)
            yield from _fault(workdir / name, partial(load_own, workdir / name), True)
    runs = [workdir, *listed(workdir / RUNS, "*")]
    for run in runs:
        if (run / MANIFEST).exists():
            yield from _of_run(run, read)
        elif metrics.names(run):
            yield Fault(run / MANIFEST, f"{run / MANIFEST}: is not there", mends=True)


def _fault(
    path: epath.Path, attempt: Callable[[], object], mends: bool, only: str = ""
) -> Iterator[Fault]:
    """A fault, if reading ends in one; `only` one that names this file."""
    try:
        attempt()
    except ConfigError:
        return  # as written, but it uses what no file has added here
    except UserError as error:
        if not only or str(error).startswith(str(path)):
            yield Fault(path, str(error), mends)


def _of_run(run: epath.Path, read: Callable[[str], object]) -> Iterator[Fault]:
    read(str(run))
    try:
        about = read_manifest(run)
    except UserError as error:
        yield Fault(run / MANIFEST, str(error), mends=True)
        return
    if about is None:
        return
    if about.sealed:
        yield from (
            Fault(run / name, f"{run / name}: is not there any more", mends=True)
            for name in records.missing(run, about.records)
            if about.status == "finished"
        )
    yield from _of_files(run, about)
    for name, why in metrics.damaged(run, about.identity, about.sealed).items():
        yield Fault(run / metrics.FOLDER / name, str(why), mends=True)
    for root in (RESUME, RETENTION, STATES):
        for step in steps_in(run / root):
            read(f"{run / root / str(step)}")
            yield from _fault(
                run / root / str(step), partial(_check, run / root, step, about), True
            )
    for path in listed(run / PARTS, "*.nc"):
        read(str(path))
        yield from _fault(path, partial(load, path, evidence=_key(path)), True)


def _of_files(run: epath.Path, about: Manifest) -> Iterator[Fault]:
    if (run / EXPOSURES).exists():
        yield from _fault(
            run / EXPOSURES, partial(read_exposures, run, about.identity, about.sealed), True
        )
    if (run / CONFIG).exists():
        yield from _fault(
            run / CONFIG, partial(read_record, run / CONFIG, "run it again", about.sealed), True
        )


def _check(root: epath.Path, step: int, about: Manifest) -> None:
    """Reads a checkpoint.

    Raises:
        UserError: it is damaged, or another run's.
    """
    found = about_checkpoint(root, step)
    if found.get("identity") != about.identity:
        raise UserError(
            f"{root / str(step)}: belongs to recipe {found.get('identity')}, not {about.identity}"
        )
    verify(root, step)


def _key(path: epath.Path) -> str:
    """What a part of the evidence was made from, as its name says."""
    return path.stem.rpartition("_")[2]


def set_aside(fault: Fault) -> bool:
    """Renames what is damaged, so that it is made again; whether there was anything to rename."""
    if not fault.mends or not fault.path.exists():
        return False
    target = fault.path.with_name(fault.path.name + ASIDE)
    if target.exists():
        target.rmtree() if target.is_dir() else target.unlink()
    fault.path.rename(target)
    return True
