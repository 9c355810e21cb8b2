"""Arms of a study: the same students on the same streams under other schedules, or counterfactuals.

A study that compares them has an axis named `arm` (`Axis.dimension`), whose places are called
SCHEDULE or "SCHEDULE, COUNTERFACTUAL": `EVEN` and `NEVER`, any number of schedules of bursts under
names of their own, such as "gap 50", and of each of these `PROTECTED`, `MORE` or `BOTH`. All
levels are above those of the arm in which the task is never shown.
"""

from collections.abc import Iterator

import xarray as xr

from rare_retention.evidence import control, decomposition, intervals, retention, states

DIM = "arm"
"""Dimension of the results."""

EVEN, NEVER = "even", "never shown"
"""Arms in which the task comes as regularly as it can, and in which it is left out: the control."""

PROTECTED, MORE, BOTH = "protected", "more rows", "both"
"""What is done to a schedule of bursts: the task is protected in its gaps, so that nothing undoes
it (`rules.protection`); each burst has more rows, so that it gains more; or both."""

HOLDS = 0.9
"""Level from which on a size that is shown the task evenly is taken to have room for it."""


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


def above(point: xr.Dataset, name: str, early: bool = False) -> xr.DataArray:
    """Level of an arm above the control, [stream, size, initialisation].

    Args:
        point: of a study's grid, with its arms.
        name: of the arm.
        early: at the last common step of the first half of the run, in place of its last step.
    """
    at = states.halfway if early else states.final
    levels = [at(retention.level(point.sel({DIM: arm}, drop=True))) for arm in (name, NEVER)]
    found: xr.DataArray = (levels[0] - levels[1]).reset_coords(drop=True)
    return found


def room(point: xr.Dataset) -> xr.DataArray:
    """Sizes of which is not known that they have no room for the task (`control.room`); [size]."""
    return control.room(point.sel({DIM: EVEN}, drop=True))


def able(point: xr.Dataset, early: bool = False) -> xr.DataArray:
    """Sizes that have room, and hold `HOLDS` in the mean where the task is shown evenly; [size].

    What they lack under bursts is neither capacity nor want of time.

    Args:
        point: of a study's grid, with its arms.
        early: as in `above`.
    """
    held = above(point, EVEN, early)
    enough: xr.DataArray = _over_units(held) >= HOLDS
    return enough & room(point)


def closed(
    point: xr.Dataset, schedule: str, counterfactual: str, early: bool = False
) -> xr.DataArray:
    """Share of what each size lacks beside the largest under bursts that an arm gives back.

    Args:
        point: of a study's grid, with its arms.
        schedule: of bursts.
        counterfactual: `PROTECTED`, `MORE` or `BOTH`, of the size that lacks.
        early: as in `above`.

    Returns:
        As `_of_lack`.
    """
    bare = above(point, schedule, early)
    return _of_lack(above(point, named(schedule, counterfactual), early) - bare, bare)


def no_forgetting(point: xr.Dataset, schedule: str) -> xr.DataArray:
    """Share of what each size lacks that is forgetting: as `closed`, for two counterfactuals.

    Shapley value of protection, among protection and more rows (Shapley 1953): the mean of what it
    adds to bursts as they are and to bursts of more rows.
    """
    bare, kept, more, both = (
        above(point, named(schedule, what)) for what in ("", PROTECTED, MORE, BOTH)
    )
    return _of_lack(((kept - bare) + (both - more)) / 2, bare)


def _of_lack(rise: xr.DataArray, bare: xr.DataArray) -> xr.DataArray:
    """Rises over what sizes lack beside the largest, [..., size].

    Numbers of the units whose mean is the ratio of the two means (`intervals.ratio`); NaN for a
    size that lacks less than `decomposition.LEAST_GAP` in the mean.
    """
    lack = bare.isel(size=-1, drop=True) - bare
    each = [intervals.ratio(rise.isel(size=i), lack.isel(size=i)) for i in range(len(bare["size"]))]
    share = xr.concat(each, "size", coords="minimal", compat="override")
    return share.where(_over_units(lack) >= decomposition.LEAST_GAP)


def acquisition(point: xr.Dataset, schedule: str) -> xr.DataArray | None:
    """Share of what is missing that a burst gains, while no size has learned the task.

    Of raw levels, in the cycles that start before any size has learned it: the same for all sizes
    (`retention.before_any`).

    Args:
        point: of a study's grid, with its arms.
        schedule: of bursts.

    Returns:
        [stream, size, initialisation]; None where no whole cycle was measured.
    """
    each = retention.level_cycles(point.sel({DIM: schedule}, drop=True))
    if each is None:
        return None
    early = retention.before_any(each)
    there = early.any([d for d in early.dims if d not in each["exposure"].dims])
    return decomposition.acquisition(each.assign(exposure=each["exposure"].where(there)))


def _over_units(values: xr.DataArray) -> xr.DataArray:
    """Mean over streams and initialisations."""
    return values.mean([d for d in states.UNITS if d in values.dims])
