"""The folder of a study: what stands where, and whose it is."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from etils import epath

from rare_retention.config import TAGS, ConfigError, difference, from_dict, to_dict
from rare_retention.errors import UserError
from rare_retention.experiment import changes
from rare_retention.record import layout, metrics
from rare_retention.record.files import listed, read_object, read_record, write_record
from rare_retention.study.claims import CLAIMS as CLAIMS_BY_NAME
from rare_retention.study.claims import definitions
from rare_retention.study.grid import Study

STUDY, RUNS, RESULTS, CLAIMS = "study.json", "runs", "results.nc", "claims.json"
DEFINITIONS = "definitions.json"
"""Definitions of the study's claims, as they were when it first listed them."""

RECIPE = "recipe.json"
"""What all runs of the study share; the corpus it tells of may have moved since."""

_PATIENCE = 120.0  # seconds; longer than a holder elsewhere that was killed keeps a lock


def claim(study: Study, workdir: epath.Path, write: bool = True) -> None:
    """Makes the workdir this study's own, or checks that it is.

    A study may grow: more streams, more values, more steps, other figures and claims. Sizes that
    were trained together cannot be taken apart, nor the other way round: their units differ. Of
    several workers that start at once one writes after the other, and what is there already stays.

    Args:
        study: that is to run here.
        workdir: of the study.
        write: keep the study in it; one host does for all.

    Raises:
        UserError: it holds a study of another name, recipe or layout.
    """
    if not write:
        _check(study, workdir)
        return
    with _alone(workdir):
        own = _check(study, workdir)
        _write(workdir / DEFINITIONS, _definitions(study, workdir))
        _write(workdir / RECIPE, layout.stamped(own))
        _write(workdir / STUDY, to_dict(study))  # last: a folder with a study has its recipe


def _check(study: Study, workdir: epath.Path) -> dict[str, Any]:
    """Checks that a workdir holds no other study; returns what its recipe.json is to say.

    Raises:
        UserError: it does.
    """
    path, recipe = workdir / RECIPE, study.run.recipe()
    own = {"name": study.name, "apart": study.apart}
    if path.exists():
        before = _read(path)
        found = difference({name: before[name] for name in own}, own)
        found += [f"run.{line}" for line in changes(before["run"], recipe)]
        fields = [field for axis in study.grid for field in axis.fields]
        varied = tuple(f"run.{field}{end}" for field in fields for end in ":[.")
        if found := [line for line in found if not line.startswith(varied)]:
            raise UserError(
                f"{workdir}: holds another study: {'; '.join(found)}; choose another --workdir, or "
                "undo the change"
            )
    return own | {"run": recipe}


@contextlib.contextmanager
def _alone(workdir: epath.Path) -> Iterator[None]:
    """While entered, no other process writes a study's own files: workers start at the same time.

    Raises:
        Held: another process does not come to an end with it.
    """
    from rare_retention.record.lock import Held, Lock  # by who trains: who reads needs no JAX
    from rare_retention.record.pulses import Pulses

    lock, pulses, start = None, Pulses(), time.monotonic()
    while lock is None:
        try:
            lock = Lock(workdir, pulses=pulses).__enter__()
        except Held:
            if time.monotonic() - start > _PATIENCE:
                raise
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.__exit__()


def _write(path: epath.Path, data: dict[str, Any]) -> None:
    """Writes a file of a study, unless it says that already: others may be reading it."""
    with contextlib.suppress(FileNotFoundError, UserError):
        if read_record(path, "") == json.loads(json.dumps(data)):
            return
    write_record(path, data)


def _definitions(study: Study, workdir: epath.Path) -> dict[str, Any]:
    """Those of the study's claims: as they were first written, new ones as they are today."""
    begun = any(listed(run / metrics.FOLDER, "*") for run in listed(workdir / RUNS, "*"))
    return definitions.fixed(
        stored_definitions(workdir),
        [CLAIMS_BY_NAME[name] for name in study.claims if name in CLAIMS_BY_NAME],
        begun,
    )


def stored_definitions(workdir: epath.Path) -> dict[str, Any]:
    """Name of a claim -> its definition when the study first listed it; none in older workdirs."""
    path = workdir / DEFINITIONS
    if not path.exists():
        return {}
    remedy = "restore it; without it claims cannot be said to have been fixed before the runs"
    return read_record(path, remedy, _sealed(workdir))


def stored_study(workdir: epath.Path) -> Study:
    """The study that a workdir holds.

    Raises:
        UserError: it holds none, one of another layout, or one that uses what no file has added.
    """
    path = workdir / STUDY
    if not path.exists():
        raise UserError(f"{workdir}: holds no study (there is no {STUDY})")
    _read(workdir / RECIPE)
    stored = read_record(path, "run launch.study again, which writes it anew", _sealed(workdir))
    try:
        return from_dict(Study, stored)
    except ConfigError as error:
        names = {error.field.partition("[")[0], error.field.rpartition(".")[2]}
        hint = "; if a file of yours adds it, name that file: --extensions=FILE.py"
        missing = names & {*TAGS, "claims", "figures"}
        message = error.message + (hint if missing else "")
        raise ConfigError(error.field, message, str(path)) from error


def _sealed(workdir: epath.Path) -> bool:
    """Whether the files of a study have to be sealed: those of older layouts are not."""
    path = workdir / RECIPE
    return path.exists() and layout.check(read_object(path), path) >= layout.SEALED


def _read(path: epath.Path) -> dict[str, Any]:
    """What a recipe.json says.

    Raises:
        UserError: it is missing, damaged or of another layout.
    """
    if not path.exists():
        raise UserError(f"{path}: is missing; restore it, or choose another --workdir")
    return read_record(path, "restore it, or choose another --workdir", _sealed(path.parent))
