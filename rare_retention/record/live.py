"""How far a run is at this moment, as its process writes it down every few seconds.

Metrics come in blocks, before checkpoints that may be an hour apart. This small file is for who
looks on; nothing that is computed or judged ever reads it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record.files import read_object, write_json
from rare_retention.settings.student import Student

NAME = "progress.json"


@dataclass(frozen=True, kw_only=True)
class Live:
    """How far a run is.

    Attributes:
        step: updates applied.
        steps: of the run.
        doing: "starting", "compiling" or "training" while it runs; then "left".
        rate: steps a second over the last half minute, without compilation; None before it is
            known.
        learning_rate: of the first student's last update that was measured; None before.
        loss: size -> last measured loss of a batch, mean over initialisations.
        loss_step: state at which that was measured; None before there was any.
        time: seconds since 1970 when this was written, by the clock of the machine that trains.
    """

    step: int
    steps: int
    doing: str
    rate: float | None = None
    learning_rate: float | None = None
    loss: Mapping[str, float] = field(default_factory=dict)
    loss_step: int | None = None
    time: float = 0.0


def write_live(folder: epath.Path, live: Live) -> None:
    """Writes down how far a run is.

    Raises:
        UserError: the disk is full.
    """
    write_json(folder / NAME, dataclasses.asdict(live))


def read_live(folder: epath.Path) -> Live | None:
    """How far a run was when its process last wrote it down; None where that is not known.

    A damaged file is none: the next one comes within seconds.
    """
    if not (folder / NAME).exists():
        return None
    try:
        stored: dict[str, Any] = read_object(folder / NAME)
        known = {each.name for each in dataclasses.fields(Live)}
        found = Live(**{name: own for name, own in stored.items() if name in known})
        return dataclasses.replace(found, step=int(found.step), loss=dict(found.loss))
    except (UserError, OSError, TypeError, ValueError):
        return None


def loss_by_size(students: Sequence[Student], losses: np.ndarray) -> dict[str, float]:
    """Size -> mean over its initialisations of the losses [S] of its students."""
    return {
        str(size): float(
            np.mean([x for own, x in zip(students, losses, strict=True) if own.size == size])
        )
        for size in dict.fromkeys(student.size for student in students)
    }
