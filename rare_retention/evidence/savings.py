"""What is left of a memory that cannot be seen: how much faster it is learned again (savings).

A task is learned to a criterion, training goes on without it, and it is learned again to the same
criterion. Savings are 1 - steps to relearn / steps to learn: 1 where nothing has to be learned
again, 0 where it takes as long as the first time, below 0 where it takes longer. A task that does
not get to the criterion in the steps that were measured took longer than these: a bound.

Also what an exposure gains, by burst and by row.
"""

import numpy as np
import xarray as xr

from rare_retention.evidence import intervals
from rare_retention.evidence.intervals import Interval

MISSING = "a state is missing"
KNOWN = "the criterion was met at the start of learning"
UNLEARNED = "the criterion was not met in learning: a lower bound"
NOT_AGAIN = "the criterion was not met again: an upper bound"
NEVER = "the criterion was met neither in learning nor again"


def to_criterion(level: xr.DataArray, criterion: float) -> xr.Dataset:
    """Steps until a level first stands at a criterion or above it in two states in a row.

    Args:
        level: [..., step], steps ascending from the state at which learning begins.
        criterion: in the level's units.

    Returns:
        Without `step`: `steps` to the first of the two states, NaN where a state up to the second
        is missing, and `censored`: the criterion was not met, and it takes longer than the steps
        that were measured, which is the value.
    """
    rows = level.transpose(..., "step")
    values, steps = rows.to_numpy(), rows["step"].to_numpy().astype(np.float64)
    met = (values[..., :-1] >= criterion) & (values[..., 1:] >= criterion)
    reached = met.any(-1)
    first = np.where(reached, np.argmax(met, -1), len(steps) - 1)
    seen = np.arange(len(steps)) <= first[..., None] + 1
    whole = ~(np.isnan(values) & seen).any(-1)
    dims = [d for d in rows.dims if d != "step"]
    coords = {k: v for k, v in rows.coords.items() if "step" not in v.dims and k != "step"}
    taken = np.where(whole, steps[first] - steps[0], np.nan)
    return xr.Dataset(
        {"steps": (dims, taken, {"units": "steps"}), "censored": (dims, whole & ~reached)}, coords
    )


def savings(learning: xr.DataArray, again: xr.DataArray, criterion: float) -> xr.Dataset:
    """Savings of each unit, with what is known of those that did not get to the criterion.

    Args:
        learning: level while the task is first learned [..., step].
        again: level while it is learned again [..., step], with steps of its own.
        criterion: in the level's units, the same for both.

    Returns:
        Without `step`: `savings`, NaN where not known exactly; `low` and `high`, between which they
        lie, equal where they are known and NaN where nothing could be measured; and `reason`, empty
        or what is the matter: `MISSING`, `KNOWN`, `UNLEARNED`, `NOT_AGAIN`, `NEVER`.
    """
    first, second = to_criterion(learning, criterion), to_criterion(again, criterion)
    first, second = xr.align(first, second, join="exact")
    share = 1 - second["steps"] / first["steps"].where(first["steps"] > 0)
    unlearned, not_again = xr.broadcast(first["censored"], second["censored"])
    # Longer learning raises savings towards 1 at most; longer relearning lowers them without end.
    low = share.where(~not_again, -np.inf).where(share.notnull())
    high = share.where(~unlearned, 1.0).where(share.notnull())
    reason = xr.full_like(share, "", dtype=object)
    missing = first["steps"].isnull() | second["steps"].isnull()
    for which, text in (
        (unlearned, UNLEARNED),
        (not_again, NOT_AGAIN),
        (unlearned & not_again, NEVER),
        (first["steps"] == 0, KNOWN),
        (missing, MISSING),
    ):
        reason = reason.where(~which, text)
    known = share.where(~unlearned & ~not_again)
    return xr.Dataset({"savings": known, "low": low, "high": high, "reason": reason.astype(str)})


def interval(of: xr.Dataset) -> Interval:
    """Interval of the savings of one size.

    Student's t where those of all units are known; else that of signed ranks, in which the others
    count as what is known of them.

    Args:
        of: result of `savings`, over units alone.
    """
    if (of["low"] == of["high"]).where(of["low"].notnull(), True).all():
        return intervals.student_t(of["savings"])
    return intervals.signed_rank(of["low"], of["high"])


def gains(of: xr.Dataset, rows: xr.DataArray, where: xr.DataArray | None = None) -> xr.Dataset:
    """What an exposure gains on average, by burst and by row or instance that it shows.

    Args:
        of: result of `retention.cycles`.
        rows: rows or instances of the task in each exposure [..., exposure], such as
            `exposure_count`, in the order of the exposures.
        where: bool, the cycles that count; all by default.

    Returns:
        `burst` and `row` without `cycle`: the sum of gains over the number of exposures, and over
        that of their rows; NaN where no cycle counts or a gain is missing.
    """
    there = of["exposure"].notnull()
    counted = there if where is None else where & there
    number = of["exposure"].where(there, 0).astype(int)
    shown = rows.isel(exposure=number) if "stream" not in rows.dims else _by_stream(rows, number)
    total = of["gain"].where(counted, 0.0).sum("cycle", skipna=False)
    count, seen = counted.sum("cycle"), shown.where(counted, 0).sum("cycle", skipna=False)
    return xr.Dataset(
        {"burst": total / count.where(count > 0), "row": total / seen.where(seen > 0)}
    )


def _by_stream(rows: xr.DataArray, number: xr.DataArray) -> xr.DataArray:
    """The rows of each stream's own exposures."""
    if "stream" not in number.dims:
        return rows.isel(exposure=number)
    stream = xr.DataArray(np.arange(rows.sizes["stream"]), dims="stream")
    return rows.isel(stream=stream, exposure=number)
