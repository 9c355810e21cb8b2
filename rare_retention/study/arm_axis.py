"""Arms of a study as one axis of its grid: schedules of a rare task, and counterfactuals of them.

The names are those that `evidence.arms` reads.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rare_retention.evidence.arms import (
    ANOTHER,
    ANOTHER_STILL,
    BOTH,
    EVEN,
    MORE,
    NEVER,
    STILL,
    named,
)
from rare_retention.study.axes import Also, Axis, Value

NOT_PROTECTED = 10**6
"""Steps from a burst to the first protected one where there is none; no gap is as long."""


class Arm(NamedTuple):
    """What an arm sets.

    Attributes:
        name: of its place in the results.
        gap: steps from one burst to the next; 1 where the task comes evenly.
        more: whether the task has more rows than in the other arms.
        after: steps from a burst to the first update in which the task is protected.
        along: place in `watch` of another task that is protected in its place; None: none is.
        still: whether what helps the task is taken out too.
        left_out: tasks that are never shown.
    """

    name: str
    gap: int = 1
    more: bool = False
    after: int = NOT_PROTECTED
    along: int | None = None
    left_out: tuple[int, ...] = ()
    still: bool = False


def even() -> Arm:
    """The task as regularly as it can come."""
    return Arm(EVEN)


def never(gap: int) -> Arm:
    """The task left out: the control, measured around the bursts that it would have at a gap."""
    return Arm(NEVER, gap, left_out=(-1,))


def bursts(gap: int, *counterfactuals: str, after: int = 20, along: int | None = None) -> list[Arm]:
    """Bursts at a gap, as they are and in counterfactuals.

    Args:
        gap: steps from one burst to the next.
        counterfactuals: some of `PROTECTED`, `MORE`, `BOTH` and `STILL`.
        after: steps from a burst to the first protected one, at most half of the gap: momentum
            goes on learning from a burst for a while.
        along: adds an arm in which the watched task at this place is protected in its stead, such
            as one that is never shown: it should change nothing. With `STILL` it is held still.
    """
    schedule, after = f"gap {gap}", min(after, gap // 2)
    found = [Arm(schedule, gap)]
    for what in counterfactuals:
        kept = NOT_PROTECTED if what == MORE else after
        name = named(schedule, what)
        found.append(Arm(name, gap, what in (MORE, BOTH), kept, still=what == STILL))
    if along is not None:
        still = STILL in counterfactuals
        name = named(schedule, ANOTHER_STILL if still else ANOTHER)
        found.append(Arm(name, gap, after=after, along=along, still=still))
    return found


def axis(arms: Sequence[Arm], field: str, usual: Value, more: Value) -> Axis:
    """The arms as an axis of the grid; the run's rule must be a `Protection`.

    Args:
        arms: of the study.
        field: that says how often the rare task comes, such as "setting.tasks.prior".
        usual: its value.
        more: its value in the arms that have more rows.
    """
    others: dict[str, list[Value]] = {
        "exposure.gap": [arm.gap for arm in arms],
        "exposure.left_out": [arm.left_out for arm in arms],
        "rule.after": [arm.after for arm in arms],
        "rule.along": [arm.along for arm in arms],
        "rule.removed": ["component" if arm.still else "harm" for arm in arms],
        field: [more if arm.more else usual for arm in arms],
    }
    return Axis(
        field="exposure.placement",
        values=tuple("even" if arm.gap == 1 else "burst" for arm in arms),
        also=tuple(
            Also(field=name, values=tuple(values))
            for name, values in others.items()
            if any(value != values[0] for value in values)
        ),
        dimension="arm",
        named=tuple(arm.name for arm in arms),
    )
