"""The status of a study as a table for a terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence

from rare_retention.study.status import StudyStatus
from rare_retention.study.unit_status import UnitStatus
from rare_retention.wording import duration, plural

HEAD = ("unit", "state", "step", "of", "steps/s", "left", "loss", "held by")

_RIGHT = {2, 3, 4, 5}  # columns of numbers
_SIZES = 3  # of which the loss is shown one by one


def table(status: StudyStatus) -> Iterator[str]:
    """Lines of a table with a row for each unit, of what there is to say of some, and of the sum.

    Args:
        status: of the study.
    """
    rows = [HEAD, *(_row(unit) for unit in status.units)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield _line(row, widths)
    for unit in status.units:
        if unit.note and unit.state != "running":
            yield f"{unit.name}: {unit.note}"
    yield summary(status)


def summary(status: StudyStatus) -> str:
    """One line about all units: how many are in which state, and how long it may take yet."""
    counted = ", ".join(f"{count:,} {state}" for state, count in status.counts.items())
    line = f"{plural(len(status.units), 'unit')}: {counted}"
    if status.left is None:
        return line
    return f"{line}; about {duration(status.left)} left at the present steps/s of all together"


def _row(unit: UnitStatus) -> tuple[str, ...]:
    doing = f" ({unit.note})" if unit.note and unit.state == "running" else ""
    return (
        unit.name,
        unit.state + doing,
        f"{unit.step:,}",
        f"{unit.steps:,}",
        "" if unit.rate is None else f"{unit.rate:.3g}",
        "" if unit.left is None else duration(unit.left),
        losses(unit.loss),
        f"{unit.host} ({unit.process})" if unit.host else "",
    )


def losses(loss: Mapping[str, float]) -> str:
    """Losses by size in a few characters: each of a few sizes, the first and last of many."""
    each = [f"{size}: {_number(own)}" for size, own in loss.items()]
    return ", ".join(each) if len(each) <= _SIZES else f"{each[0]} ... {each[-1]}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        text.rjust(width) if column in _RIGHT else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
