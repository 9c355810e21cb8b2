"""How far one unit of a study is, read from its folder while it may be written.

A few small files are read: manifest, lock and `progress.json`; of a run that has not written the
latter, the last block of metrics.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import metrics, records
from rare_retention.record.files import read_json
from rare_retention.record.holder import Holder, holder
from rare_retention.record.live import Live, loss_by_size, read_live
from rare_retention.record.manifest import Manifest, read_manifest
from rare_retention.record.records import RESUME, STATES, steps_in
from rare_retention.settings.student import Student
from rare_retention.study.grid import Unit
from rare_retention.study.progress import FAILURE
from rare_retention.wording import duration

UNIT_STATES = ("finished", "running", "stopped", "failed", "waiting", "damaged")
"""All that `UnitStatus.state` may be."""


@dataclass(frozen=True, kw_only=True)
class UnitStatus:
    """How far a unit is.

    Attributes:
        name: of the unit.
        state: "finished"; "running", a process holds it; "stopped", it has begun, but nobody holds
            it; "failed"; "waiting", it has not begun; or "damaged", its manifest cannot be read.
        step: state reached, as far as files tell.
        steps: last step.
        rate: steps a second, of one that runs; None where it is not known.
        left: seconds that it needs at that rate; None where it is not known.
        loss: size -> last measured loss of a batch.
        loss_step: state at which that was measured.
        host: machine of the process that holds it; "" where nobody does.
        process: its number.
        parent: name of the unit that it goes on from; "" where there is none.
        note: what else there is to say: why it failed or stands still, or what it does.
    """

    name: str
    state: str
    step: int
    steps: int
    rate: float | None = None
    left: float | None = None
    loss: Mapping[str, float] = field(default_factory=dict)
    loss_step: int | None = None
    host: str = ""
    process: str = ""
    parent: str = ""
    note: str = ""


def unit_status(
    unit: Unit, folder: epath.Path, kept: Sequence[int], branches: Mapping[epath.Path, int]
) -> UnitStatus:
    """What the folder of a unit says of it.

    Whether it holds the run of this recipe is not asked, which may take the corpus: the study's own
    command asks, and refuses another.

    Args:
        unit: of the study.
        folder: of the unit.
        kept: steps of whole states that the study keeps.
        branches: folder of each unit that goes on from this one -> step of the whole state that it
            needs.
    """
    lock = holder(folder)
    waiting = UnitStatus(name=unit.name, state="waiting", step=unit.run.start, steps=unit.run.steps)
    try:
        about = read_manifest(folder)
        failure = read_json(folder / FAILURE)["reason"] if (folder / FAILURE).exists() else ""
    except (UserError, KeyError, TypeError) as error:
        return dataclasses.replace(waiting, state="damaged", note=str(error))
    begun = waiting if about is None else _how_far(waiting, folder, about)
    if lock is not None and lock.runs:
        return _running(begun, lock, read_live(folder))
    if failure:
        return dataclasses.replace(begun, state="failed", note=str(failure))
    if about is None:
        return dataclasses.replace(waiting, note=_of_ended(lock))
    if about.status == "finished" and begun.step >= unit.run.steps:
        missing = _missing(unit, folder, about, kept, branches)
        state = "stopped" if missing else "finished"
        return dataclasses.replace(begun, state=state, note=missing)
    return dataclasses.replace(begun, state="stopped", note=_of_ended(lock))


def _how_far(status: UnitStatus, folder: epath.Path, about: Manifest) -> UnitStatus:
    """The step of a run that has begun, and its last losses."""
    live, blocks = read_live(folder), metrics.names(folder)
    reached = [about.step, *steps_in(folder / RESUME)[-1:]]
    reached += [metrics.span(name)[1] for name in blocks[-1:]]
    if live is not None and live.loss:
        loss, loss_step = live.loss, live.loss_step
    else:
        loss, loss_step = _last_loss(folder, about.students, blocks)
    return dataclasses.replace(status, step=max(reached), loss=loss, loss_step=loss_step)


def _last_loss(
    folder: epath.Path, students: Sequence[Student], blocks: Sequence[str]
) -> tuple[dict[str, float], int | None]:
    """Loss by size at the last measured state, of which one array of one block is read."""
    if not blocks:
        return {}, None
    try:
        with (
            (folder / metrics.FOLDER / blocks[-1]).open("rb") as file,
            np.load(file, allow_pickle=False) as block,
        ):
            steps, losses = block["step"], block["train_loss"]
    except Exception:  # being cut off, damaged or without any: who trains or verifies will say so
        return {}, None
    return loss_by_size(students, losses[-1]), int(steps[-1])


def _running(status: UnitStatus, lock: Holder, live: Live | None) -> UnitStatus:
    """The status of a unit that a process holds."""
    note, rate, left = "", None, None
    if live is not None and live.doing != "left":
        status = dataclasses.replace(status, step=max(status.step, live.step))
        rate = live.rate
        note = "" if live.doing == "training" else live.doing
    if rate:
        left = max(status.steps - status.step, 0) / rate
    return dataclasses.replace(
        status,
        state="running",
        rate=rate,
        left=left,
        host=lock.host,
        process=lock.process,
        note=note,
    )


def _of_ended(lock: Holder | None) -> str:
    """What to say of a lock whose holder seems to have ended."""
    if lock is None:
        return ""
    silent = "has ended" if lock.silent is None else f"silent for {duration(lock.silent)}"
    return f"still locked by process {lock.process} on {lock.host}, {silent}"


def _missing(
    unit: Unit,
    folder: epath.Path,
    about: Manifest,
    kept: Sequence[int],
    branches: Mapping[epath.Path, int],
) -> str:
    """What a run that has ended has to be trained again for; "" where nothing is missing."""
    if about.sealed and (lost := records.missing(folder, about.records)):
        return f"to be trained again: {lost[0]} is not there"
    states = set(steps_in(folder / STATES))
    own = set(kept).intersection(unit.run.snapshots.states)
    for step in sorted(own - states):
        return f"to be trained again: its state of step {step:,} is not there"
    for branch, step in branches.items():
        if step not in states and not _has_ended(branch):
            return f"to be trained again: {branch.name} needs the state of step {step:,}"
    return ""


def _has_ended(folder: epath.Path) -> bool:
    """Whether a branch has come to its end, so that it needs no state of its parent any more."""
    try:
        about = read_manifest(folder)
    except UserError:
        return False
    return about is not None and about.status == "finished"
