"""What a student has of a task beyond its control, and the factor of it that a gap leaves.

The control is the same student on the same stream with the task left out (`Placing.left_out`): what
it has of the task owes nothing to having seen it. The shares of single gains say nothing of
retention: in a steady state the rise over a cycle is zero whatever is kept. The retention factor
does: it compares what is there at the end of a gap with what was there at its peak.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from rare_retention.evidence import exposures, retention, states

ARM = "left_out"
"""Dimension of a study's grid along which the task is shown or left out."""

LEAST_RISE = 0.05
"""Mean peak above the control below which there is nothing to keep, so that no factor is defined.
"""


def arms(results: xr.Dataset) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    """Grid points at which the rarest watched task is shown, each with its control.

    Args:
        results: of a study whose grid has an axis over `exposure.left_out`; nothing without one.
    """
    if ARM not in states.grid(results):
        return
    for point in states.points(results, [ARM]):
        seen = exposures.of(point).notnull()
        shown = seen.any([d for d in seen.dims if d != ARM]).to_numpy()
        if shown.any() and not shown.all():
            control = point.isel({ARM: int(np.flatnonzero(~shown)[0])})
            for i in np.flatnonzero(shown):
                yield point.isel({ARM: int(i)}), control


def excess_cycles(point: xr.Dataset, control: xr.Dataset) -> xr.Dataset | None:
    """Cycles of what is learned of the rarest watched task above its control.

    Args:
        point: of a study's grid, as for `retention.learned`.
        control: its control, measured at the same steps.

    Returns:
        As `retention.cycles`; None where no whole cycle was measured.
    """
    above = retention.learned(point) - retention.learned(control)
    shown = exposures.of(point)
    streams = exposures.by_stream(above, shown)
    if not any(retention.measured_cycles(own["step"].to_numpy(), at) for own, at in streams):
        return None
    return retention.cycles(above, shown)


def retention_factor(of: xr.Dataset) -> xr.DataArray:
    """Factor rho of what a student holds above its control that a gap leaves.

    rho = sum of v - c just before the next exposure / sum of v - c at the peak, over the measured
    cycles, with v what is learned and c the control's; all sizes have the same cycles.

    Args:
        of: result of `excess_cycles`.

    Returns:
        Without the dimension `cycle`; NaN where a cycle is missing, or the mean peak is less than
        `LEAST_RISE` above the control.
    """
    there = of["exposure"].notnull()
    peak = of["best"].where(there).sum("cycle", min_count=1)
    left = of["next_before"].where(there).sum("cycle", min_count=1)
    whole = (of["best"].notnull() | ~there).all("cycle")
    rises = peak / there.sum("cycle") >= LEAST_RISE
    factor: xr.DataArray = (left / peak).where(whole & rises)
    return factor.rename("retention_factor").assign_attrs(
        units="1", long_name="factor of what is held above the control that a gap leaves"
    )
