"""How far each unit of a study is, read from its files while they may be written.

Units are read side by side, since folders may be in a bucket or on a file server.
"""

import dataclasses
import math
import os
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from etils import epath

from rare_retention.config import from_dict
from rare_retention.errors import UserError
from rare_retention.experiment import Run
from rare_retention.record.files import CONFIG, read_record
from rare_retention.record.manifest import read_manifest
from rare_retention.study.folder import RUNS
from rare_retention.study.grid import Study, Unit, units
from rare_retention.study.unit_status import UNIT_STATES, UnitStatus, unit_status

_AT_ONCE = 16  # folders that are read side by side


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        name: of the study.
        workdir: where it stands.
        time: when it was looked at, UTC.
        units: in the order of the study.
    """

    name: str
    workdir: str
    time: str
    units: tuple[UnitStatus, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of units in each state in which there are any."""
        found = Counter(unit.state for unit in self.units)
        return {state: found[state] for state in UNIT_STATES if found[state]}

    @property
    def left(self) -> float | None:
        """Seconds until all steps are done, if as many are done a second as now; None if none are.

        Failed and damaged units do not count.
        """
        rate = sum(unit.rate or 0.0 for unit in self.units)
        open_ = [unit for unit in self.units if unit.state in ("running", "stopped", "waiting")]
        steps = sum(unit.steps - unit.step for unit in open_)
        return steps / rate if rate and steps else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; losses that are not finite are None."""
        own = dataclasses.asdict(self) | {"counts": self.counts, "left": self.left}
        own["units"] = [unit | {"loss": _finite(unit["loss"])} for unit in own["units"]]
        return own


def _finite(loss: Mapping[str, float]) -> dict[str, float | None]:
    return {size: own if math.isfinite(own) else None for size, own in loss.items()}


def study_status(study: Study, workdir: epath.Path) -> StudyStatus:
    """How far a study is; neither the corpus nor an accelerator need be there.

    Args:
        study: whose units.
        workdir: of the study.
    """
    todo = units(study)
    runs, kept = workdir / RUNS, study.run.snapshots.states
    branches: dict[str, dict[epath.Path, int]] = {unit.name: {} for unit in todo}
    for unit in todo:
        if unit.parent:
            branches[unit.parent][runs / unit.name] = unit.run.start
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda u: unit_status(u, runs / u.name, kept, branches[u.name]), todo)
        own = {status.name: status for status in found}
    each = tuple(_after_its_parent(own[unit.name], own.get(unit.parent)) for unit in todo)
    return StudyStatus(name=study.name, workdir=str(workdir), time=_now(), units=each)


def run_status(folder: epath.Path) -> StudyStatus:
    """How far a run by itself is, as that of a study of one unit.

    Args:
        folder: of the run, as `launch.train` leaves it.

    Raises:
        UserError: its config is missing or damaged, or uses what no file has added.
    """
    stored = read_record(folder / CONFIG, "run launch.train again", required=False)
    name = epath.Path(os.path.abspath(folder)).name if "://" not in str(folder) else folder.name
    unit = Unit(name, {}, from_dict(Run, stored))
    each = (unit_status(unit, folder, (), {}),)
    return StudyStatus(name=name, workdir=str(folder), time=_now(), units=each)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _after_its_parent(status: UnitStatus, parent: UnitStatus | None) -> UnitStatus:
    """A unit with the one that it goes on from, and what keeps it waiting for good."""
    if parent is None:
        return status
    status = dataclasses.replace(status, parent=parent.name)
    if status.state != "waiting" or parent.state != "failed":
        return status
    return dataclasses.replace(status, note=f"{parent.name}, which it goes on from, has failed")


def finished_since(study: Study, workdir: epath.Path) -> dict[str, str]:
    """Units that have come to their end, and when; it changes when a report has to be drawn anew.

    Args:
        study: whose units.
        workdir: of the study.
    """

    def ended(unit: Unit) -> str:
        try:
            about = read_manifest(workdir / RUNS / unit.name)
        except UserError as error:
            return str(error)
        return about.written if about is not None and about.status == "finished" else ""

    todo = units(study)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(ended, todo)
        return {unit.name: when for unit, when in zip(todo, found, strict=True) if when}
