"""Arms of a study: the same students on the same streams under other schedules, or counterfactuals.

A study that compares them has an axis named `arm` (`Axis.dimension`), whose places are called
SCHEDULE or "SCHEDULE, COUNTERFACTUAL": `EVEN` and `NEVER`, any number of schedules of bursts under
names of their own, such as "gap 50", and of each of these `PROTECTED`, `MORE`, `BOTH` or `STILL`.
All levels are told from that of the arm in which the task is never shown.
"""

from collections.abc import Iterator

import xarray as xr

from rare_retention.evidence import control, decomposition, exposures, intervals, retention, states

DIM = control.ARMS
"""Dimension of the results."""

EVEN, NEVER = "even", control.NEVER
"""Arms in which the task comes as regularly as it can, and in which it is left out: the control."""

PROTECTED, MORE, BOTH = "protected", "more rows", "both"
"""What is done to a schedule of bursts: the task is protected in its gaps, so that little undoes
it (`rules.protection`); each burst has more rows, so that it gains more; or both."""

STILL = "held still"
"""What changes the task to first order is taken out of the updates in its gaps, also what helps."""

ANOTHER, ANOTHER_STILL = "another protected", "another held still"
"""The same done to a task that is never shown, which should change nothing of the rare one."""

HOLDS = 0.9
"""What a size has to hold of the task where it comes evenly, to be compared under bursts."""


def points(results: xr.Dataset) -> Iterator[xr.Dataset]:
    """Grid points of a study, each with all of its arms; none where it has no such axis."""
    if DIM in results.dims:
        yield from states.points(results, [DIM])


def bursts(point: xr.Dataset) -> list[str]:
    """Schedules of bursts, in the order in which the study names them."""
    names = [str(name) for name in point[DIM].to_numpy()]
    return [name for name in names if ", " not in name and name not in (EVEN, NEVER)]


def named(schedule: str, counterfactual: str) -> str:
    """Name of the arm in which something is done to a schedule of bursts; "" for nothing."""
    return f"{schedule}, {counterfactual}" if counterfactual else schedule


def has(point: xr.Dataset, *names: str) -> bool:
    """Whether the study has these arms, and its control."""
    return {NEVER, *names} <= set(point[DIM].to_numpy().tolist())


def held(point: xr.Dataset, name: str, early: bool = False) -> xr.DataArray:
    """What an arm holds of the task: (v - c) / (1 - c), [stream, size, initialisation].

    0 where the level v is that of the control c, which a wide student has by chance, and 1 where
    the task is known.

    Args:
        point: of a study's grid, with its arms.
        name: of the arm.
        early: at the last common step of the first half of the run, in place of its last step.
    """
    at = states.halfway if early else states.final
    level, by_chance = (
        at(retention.level(point.sel({DIM: arm}, drop=True))).reset_coords(drop=True)
        for arm in (name, NEVER)
    )
    return _beyond(level, by_chance)


def _beyond(level: xr.DataArray, by_chance: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = (level - by_chance) / (1 - by_chance)
    return found


def room(point: xr.Dataset) -> xr.DataArray:
    """Sizes of which is not known that they have no room for the task (`control.room`); [size]."""
    return control.room(point.sel({DIM: EVEN}, drop=True))


def able(point: xr.Dataset) -> xr.DataArray:
    """Sizes that have room, and hold `HOLDS` in the mean where the task is shown evenly; [size].

    What they lack under bursts is neither capacity nor want of time.

    Args:
        point: of a study's grid, with its arms.
    """
    enough: xr.DataArray = _over_units(held(point, EVEN)) >= HOLDS
    return enough & room(point)


def closed(
    point: xr.Dataset, schedule: str, counterfactual: str, early: bool = False
) -> xr.DataArray:
    """Share of what each size lacks beside the largest under bursts that an arm gives back.

    Args:
        point: of a study's grid, with its arms.
        schedule: of bursts.
        counterfactual: `PROTECTED`, `MORE`, `BOTH` or `STILL`, of the size that lacks.
        early: as in `held`.

    Returns:
        [stream, initialisation, size]: numbers whose mean over streams and initialisations is the
        mean rise over the mean lack (`intervals.ratio`); NaN for a size that lacks less than
        `decomposition.LEAST_GAP` in the mean.
    """
    bare = held(point, schedule, early)
    return _of_lack(held(point, named(schedule, counterfactual), early) - bare, bare)


def taught(point: xr.Dataset, schedule: str, another: str) -> xr.DataArray | None:
    """What a rule teaches of a task that is never shown: its level there minus that without.

    Args:
        point: of a study's grid, with its arms.
        schedule: of bursts.
        another: `ANOTHER` or `ANOTHER_STILL`.

    Returns:
        [stream, size, initialisation], at the last step, of the first watched task of frequency 0;
        None where none is watched.
    """
    rates = point["frequency"].max([d for d in point["frequency"].dims if d != "task"])
    never = [str(name) for name in point["watch"].to_numpy() if float(rates.sel(task=name)) == 0]
    if not never:
        return None
    kept, bare = (
        states.final(
            retention.level(point.sel({DIM: named(schedule, what)}, drop=True), never[0])
        ).reset_coords(drop=True)
        for what in (another, "")
    )
    rise: xr.DataArray = kept - bare
    return rise


def no_forgetting(point: xr.Dataset, schedule: str) -> xr.DataArray:
    """Share of what each size lacks that is forgetting: the Shapley value of protection.

    Among protection and more rows (`decomposition.shapley`): the mean of what it adds to bursts as
    they are and to bursts of more rows.

    Args:
        point: of a study's grid, with all four arms of the schedule.
        schedule: of bursts.

    Returns:
        As `closed`.
    """
    ends = [held(point, named(schedule, what)) for what in ("", PROTECTED, MORE, BOTH)]
    return _of_lack(decomposition.shapley(*ends)[0], ends[0])


def _of_lack(rise: xr.DataArray, bare: xr.DataArray) -> xr.DataArray:
    """Rises over what sizes lack beside the largest."""
    lack = bare.isel(size=-1, drop=True) - bare
    each = [intervals.ratio(rise.isel(size=i), lack.isel(size=i)) for i in range(len(bare["size"]))]
    share = xr.concat(each, "size", coords="minimal", compat="override")
    return share.where(_over_units(lack) >= decomposition.LEAST_GAP)


def acquisition(of: xr.Dataset) -> xr.DataArray:
    """Share a of what is missing before a burst that it gains, while no size holds half of it.

    The same cycles for all sizes (`retention.before_any`), so that they are compared from where
    all are low.

    Args:
        of: result of `cycles`.

    Returns:
        [stream, size, initialisation]; NaN where a stream has no such cycle.
    """
    early = retention.before_any(of)
    early = early.any([d for d in early.dims if d not in of["exposure"].dims])
    return decomposition.acquisition(of.assign(exposure=of["exposure"].where(early)))


def cycles(point: xr.Dataset, schedule: str) -> xr.Dataset | None:
    """Cycles of what is held of the task, from burst to burst (`retention.cycles`).

    Args:
        point: of a study's grid, with its arms.
        schedule: of bursts, around which the control was measured too.

    Returns:
        None where no whole cycle was measured in both.
    """
    shown, own = (point.sel({DIM: name}, drop=True) for name in (schedule, NEVER))
    value = _beyond(retention.level(shown), retention.level(own))
    return retention.whole_cycles(value, exposures.of(shown))


def _over_units(values: xr.DataArray) -> xr.DataArray:
    """Mean over streams and initialisations."""
    return values.mean([d for d in states.UNITS if d in values.dims])
