"""How much of a size gap is acquisition, how much retention, how much neither.

Two ways. From measured factors: an exposure lifts a level v to v + a (1 - v), and the gap after it
leaves rho of that. Repeated, the level just before an exposure tends to::

    v* = rho a / (1 - rho (1 - a)),

and the difference of v* between sizes splits into what comes from a and what from rho. From
counterfactual arms: the small size again with forgetting prevented, with larger gains, or with
both (`evidence.arms`). Either split is Shapley's: the mean over both orders of changing one
thing after the other (Shapley 1953).
"""

import numpy as np
import xarray as xr

LEAST_GAP = 0.05
"""Of a gap between sizes that is smaller than this nothing can be told."""

NO_GAP = "the gap between the sizes is below 0.05"
NOTHING_LEARNED = "nothing was learned: no retention factor"
OUTSIDE = "a factor is not from 0 to 1"
ANY_LEVEL = "nothing is gained and nothing lost: any level stays"


def steady_level(retention: xr.DataArray, acquisition: xr.DataArray) -> xr.DataArray:
    """Level v* just before an exposure to which gains and losses lead.

    Args:
        retention: factor rho that a gap leaves, from 0 to 1.
        acquisition: share a of what is missing that an exposure gains, from 0 to 1.

    Returns:
        From 0 to 1; NaN where nothing is gained and nothing lost, so that any level stays.
    """
    lost = 1 - retention * (1 - acquisition)
    level: xr.DataArray = retention * acquisition / lost.where(lost > 0)
    return level


def acquisition(of: xr.Dataset) -> xr.DataArray:
    """Share a of what is missing before an exposure that it gains, over all measured cycles.

    Args:
        of: result of `control.excess_cycles`, of a level that is 1 where the task is known.

    Returns:
        Sum of the gains over the sum of 1 - level just before, without `cycle`; NaN where a cycle
        is missing or nothing is missing in the task.
    """
    there = of["exposure"].notnull()
    gain = of["gain"].where(there, 0.0).sum("cycle", skipna=False)
    room = (1 - of["before"]).where(there, 0.0).sum("cycle", skipna=False)
    share: xr.DataArray = gain / room.where(there.any("cycle") & (room > 0))
    return share.rename("acquisition")


def split(
    retention: xr.DataArray, acquisition: xr.DataArray, small: object, large: object
) -> xr.Dataset:
    """The difference in steady level between two sizes, split between acquisition and retention.

    Args:
        retention: factor rho [size, ...], as from `control.retention_factor`.
        acquisition: share a [size, ...], as from `acquisition`.
        small: label of the smaller size.
        large: label of the larger one.

    Returns:
        Without `size`: `gap`, v* of the large size minus that of the small; `acquisition` and
        `retention`, whose sum is the gap; both over the gap as `acquisition_share` and
        `retention_share`, NaN where the gap is below `LEAST_GAP`; and `reason`: `NOTHING_LEARNED`,
        `OUTSIDE`, `ANY_LEVEL`, `NO_GAP`, or empty.
    """
    a, rho = (
        [values.sel(size=size, drop=True) for size in (small, large)]
        for values in (acquisition, retention)
    )
    levels = [[steady_level(r, gained) for gained in a] for r in rho]  # [rho][a]
    by_gain, by_keeping = shapley(levels[0][0], levels[0][1], levels[1][0], levels[1][1])
    gap = by_gain + by_keeping
    unknown = rho[0].isnull() | rho[1].isnull() | a[0].isnull() | a[1].isnull()
    outside = xr.zeros_like(unknown)
    for values in (*a, *rho):
        outside = outside | (values < 0) | (values > 1)
    reason = _reasons(
        gap, (gap.isnull(), ANY_LEVEL), (outside, OUTSIDE), (unknown, NOTHING_LEARNED)
    )
    told = ~outside
    return xr.Dataset(
        {
            "gap": gap.where(told),
            "acquisition": by_gain.where(told),
            "retention": by_keeping.where(told),
            "acquisition_share": (by_gain / gap).where(reason == ""),
            "retention_share": (by_keeping / gap).where(reason == ""),
            "reason": reason,
        }
    )


def shapley(
    neither: xr.DataArray, first: xr.DataArray, second: xr.DataArray, both: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """Shapley values of two changes, whose sum is what both change together (Shapley 1953).

    Args:
        neither: outcome without a change, any shape.
        first: with the first change alone.
        second: with the second alone.
        both: with both.
    """
    by_first: xr.DataArray = ((first - neither) + (both - second)) / 2
    return by_first, both - neither - by_first


def _reasons(gap: xr.DataArray, *named: tuple[xr.DataArray, str]) -> xr.DataArray:
    """Why nothing can be told of a gap, "" where it can; later reasons count more."""
    reason = xr.where(gap < LEAST_GAP, NO_GAP, "").astype(object)
    for which, text in named:
        reason = reason.where(~which, text)
    return reason.astype(np.str_)
