"""What a student has of a task beyond its control, and the factor of it that a gap leaves.

The control is the same student on the same stream with the task left out (`Placing.left_out`): what
it has of the task owes nothing to having seen it. The shares of single gains say nothing of
retention: in a steady state the rise over a cycle is zero whatever is kept. The retention factor
does: it compares what is there at the end of a gap with what was there at its peak.

A control has to be trained. Its level is not that of an untrained student, not even for the raw
signal of a synthetic task: the loss of the other tasks has a gradient in the task's own block of
the encoder, 2 D^T D W for decoders D, which shrinks the share that the student had by chance
(`inputs` = 48 and width 12: a quarter). And a loss of a task that is not shown goes anywhere.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from rare_retention.evidence import exposures, retention, states
from rare_retention.theory import utility

LEFT_OUT = "left_out"
"""Dimension of a study's grid along which the task is shown or left out."""

ARMS, NEVER = "arm", "never shown"
"""Dimension along which a study's arms have names (`evidence.arms`), and that of the control."""

MARGIN = 1
"""Features of width beyond N*_r from which on a student has room. At N*_r itself the task has the
last place of the optimum: it is lost if one other direction is captured a little, as by noise."""

LEAST_RISE = 0.05
"""Mean peak above the control below which there is nothing to keep, so that no factor is defined.
"""


def pairs(results: xr.Dataset) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    """Grid points at which the rarest watched task is shown, each with its control.

    Args:
        results: of a study whose grid has an axis over `exposure.left_out`; nothing without one.
    """
    if LEFT_OUT not in states.grid(results):
        return
    for point in states.points(results, [LEFT_OUT]):
        seen = exposures.of(point).notnull()
        shown = seen.any([d for d in seen.dims if d != LEFT_OUT]).to_numpy()
        if shown.any() and not shown.all():
            control = point.isel({LEFT_OUT: int(np.flatnonzero(~shown)[0])})
            for i in np.flatnonzero(shown):
                yield point.isel({LEFT_OUT: int(i)}), control


def is_control(point: xr.Dataset) -> bool:
    """Whether a grid point is a control: its rarest watched task is left out.

    Args:
        point: of a study's grid, all places of it scalar coordinates.
    """
    if ARMS in point.coords and ARMS not in point.dims:
        return str(point[ARMS].item()) == NEVER
    return (
        LEFT_OUT in point.coords
        and LEFT_OUT not in point.dims
        and "exposure_step" in point
        and not bool(exposures.of(point).notnull().any())
    )


def room(point: xr.Dataset) -> xr.DataArray:
    """Sizes of which is not known that they have no room for the rarest watched task; bool [size].

    Theorem 3 tells of a synthetic student: from the width N*_r on the optimum of the mixture has a
    feature of the task. A size has room if it is `MARGIN` wider than that; one without room lacks
    the task for want of capacity, whatever it keeps. Nothing of the kind is known of other
    students: all of them count.

    Args:
        point: of a study's grid; with `spectrum`, `frequency` and `width` in synthetic studies.
    """
    sizes = point["size"]
    if not {"spectrum", "frequency", "width"} <= {*map(str, point.variables)}:
        return xr.DataArray(np.ones(len(sizes), bool), {"size": sizes}, ("size",))
    prior, spectra = states.mixture(point)
    rare = point["task"].to_numpy().tolist().index(states.rarest(point))
    needed = int(utility.staircase(prior, spectra, 1)[rare])  # 0: no width is enough
    wide = point["width"].to_numpy() >= needed + MARGIN
    return xr.DataArray(wide & (needed > 0), {"size": sizes}, ("size",))


def excess_cycles(point: xr.Dataset, control: xr.Dataset) -> xr.Dataset | None:
    """Cycles of the level of the rarest watched task above its control (`retention.level`).

    Args:
        point: of a study's grid, as for `retention.level`.
        control: its control, measured at the same steps.

    Returns:
        As `retention.cycles`; None where no whole cycle was measured.
    """
    above = retention.level(point) - retention.level(control)
    return retention.whole_cycles(above, exposures.of(point))


def mean_rise(of: xr.Dataset, where: xr.DataArray | None = None) -> xr.DataArray:
    """Mean peak above the control, without the dimension `cycle`; arguments as below."""
    there = of["exposure"].notnull()
    if where is not None:
        there = there & where
    mean: xr.DataArray = of["best"].where(there).mean("cycle")
    return mean


def retention_factor(of: xr.Dataset, where: xr.DataArray | None = None) -> xr.DataArray:
    """Factor rho of what a student holds above its control that a gap leaves.

    rho = sum of v - c just before the next exposure / sum of v - c at the peak, over the measured
    cycles, with v the level and c the control's; all sizes have the same cycles.

    Args:
        of: result of `excess_cycles`.
        where: bool, the cycles that count, the same for all sizes; all by default.

    Returns:
        Without the dimension `cycle`; NaN where a cycle is missing, or the mean peak is less than
        `LEAST_RISE` above the control.
    """
    there = of["exposure"].notnull()
    if where is not None:
        there = there & where
    peak = of["best"].where(there).sum("cycle", min_count=1)
    left = of["next_before"].where(there).sum("cycle", min_count=1)
    whole = (of["best"].notnull() | ~there).all("cycle")
    rises = mean_rise(of, where) >= LEAST_RISE
    factor: xr.DataArray = (left / peak).where(whole & rises)
    return factor.rename("retention_factor").assign_attrs(
        units="1", long_name="factor of what is held above the control that a gap leaves"
    )
