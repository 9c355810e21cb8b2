"""When and how many of the subtasks of a mixture of sparse parities are learned.

A subtask is learned where its parity is told on a share `LEARNED` of the evaluated rows; half of
them are told by chance. Functions of a point take one point of a study's grid, as from
`states.points`, with `accuracy` and `frequency`.
"""

import numpy as np
import scipy
import xarray as xr

from rare_retention.evidence import states, text_tasks
from rare_retention.theory.checks import Array

LEARNED = 0.9
"""Accuracy from which on a subtask counts as learned."""

CHANCE = 0.5
"""Accuracy of guessing a parity."""


def frequency(point: xr.Dataset) -> xr.DataArray:
    """Share of each subtask in the rows of a grid point [task], float64; shams are left out."""
    shares = _shares(point)
    return shares.isel(task=(shares > 0).to_numpy())


def accuracy(point: xr.Dataset) -> xr.DataArray:
    """Share of the evaluated rows whose parity is told [..., step, task]; shams are left out."""
    return point["accuracy"].isel(task=(_shares(point) > 0).to_numpy())


def _shares(point: xr.Dataset) -> xr.DataArray:
    shares = point["frequency"].astype(np.float64)
    return shares.mean([d for d in shares.dims if d != "task"])


def first_learned(point: xr.Dataset) -> xr.DataArray:
    """Step at which each subtask first is learned [..., task], linear between measured states.

    Infinite where it never is, NaN where a state of the student is missing.
    """
    return text_tasks.first_reach(-states.common(accuracy(point)), -LEARNED)


def own_rows(point: xr.Dataset, steps: xr.DataArray | float) -> xr.DataArray:
    """Rows of each subtask that are expected in that many steps, its share of all rows."""
    rows: xr.DataArray = steps * float(point["step_rows"].mean()) * frequency(point)
    return rows


def share_learned(point: xr.Dataset) -> xr.DataArray:
    """Share of the subtasks that are learned at the last common step; NaN where one is missing."""
    final = states.final(accuracy(point))
    share: xr.DataArray = (final >= LEARNED).where(final.notnull()).mean("task", skipna=False)
    return share


def order(times: xr.DataArray, shares: xr.DataArray) -> xr.DataArray:
    """Spearman's correlation between the frequency of subtasks and how early they are learned.

    The logarithm of either has the same ranks. Subtasks that are never learned share the latest
    rank; 0 where all are learned alike, such as never; NaN where a student is missing.

    Args:
        times: steps until each is learned [..., task], infinite where it never is.
        shares: of the subtasks [task].
    """

    def correlate(rows: Array, by: Array) -> Array:
        early = scipy.stats.rankdata(-rows, axis=-1, nan_policy="propagate")
        x, y = (r - r.mean(-1, keepdims=True) for r in (scipy.stats.rankdata(by), early))
        norm = np.sqrt((x**2).sum() * (y**2).sum(-1))
        return np.asarray((x * y).sum(-1) / np.where(norm == 0, 1, norm))

    found: xr.DataArray = xr.apply_ufunc(
        correlate, times, shares, input_core_dims=[["task"], ["task"]]
    )
    return found


def rarer_needs_more(rows: xr.DataArray, seen: xr.DataArray) -> xr.DataArray:
    """Of pairs of subtasks, the share whose rarer one needs more of its own rows, less the rest.

    A subtask that is not learned within the rows of it that were seen needs more than these. A pair
    counts if it can be told which of the two needs more, and if it could have been told whichever
    way round it was: one of them is learned within the rows that were seen of the rarer. So a pair
    that needs equally many, but for chance, adds 0 on average, however late the run ends.

    Args:
        rows: of each subtask until it is learned [..., task], infinite where it never is.
        seen: rows of each in the whole run [task].

    Returns:
        From -1, the rarer one always needs fewer, to 1. NaN where a student is missing or no pair
        counts.
    """
    other, least = rows.rename(task="rarer"), seen.rename(task="rarer")
    counted = (least < seen) & ((rows <= least) | (other <= least))
    needs = (other > rows).astype(np.float64) - (other < rows).astype(np.float64)
    share: xr.DataArray = needs.where(counted).mean(("task", "rarer"))
    return share.where(rows.notnull().all("task"))
