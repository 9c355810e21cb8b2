"""What updates between exposures do to a rare task, by block of weights, beside what was measured.

Recorded are sums over the updates since a stream's previous measurement of <u_b, g_r> and
1/2 <u_b, H_r u> (`instruments.block_effects`), changes of the task's reference loss in its units:
above 0 the task gets worse. Interference I_b = -sum of <u_b, g_r> has the other sign.

A window goes from one state at which a stream was measured to the next. Those count that lie in a
gap: after the task's first exposure, with no exposure among their updates. Momentum goes on with
what an exposure began, so that the first updates of a gap may still teach the task. A control has
the windows of the point whose control it is.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from rare_retention.evidence import exposures, states

ORDERS = ("first", "second")
"""First- and second-order change of the loss; recorded as `interference_first` and so on."""

WHOLE = "all"
"""The block of all weights."""


def over_gaps(point: xr.Dataset, shown: xr.DataArray | None = None) -> xr.Dataset:
    """Changes of the rarest watched task's loss, summed over the gaps between its exposures.

    Args:
        point: of a study's grid, with `interference_first`, `interference_second` and `reference`.
        shown: steps of the exposures between which to sum, as from `exposures.of`; by default the
            point's own. A control has those of the point whose control it is.

    Returns:
        For each student `first` and `second` [..., block], `measured`, the change of the reference
        loss over the same steps, all in the loss's unit, and `steps`, the number of updates. NaN
        where a state of the student is missing, for blocks that it lacks, and where no window of
        its stream counts.
    """

    def total(windows: xr.Dataset) -> xr.Dataset:
        return windows.sum("step", skipna=False).where(windows.sizes["step"] > 0)

    return _by_stream(point, shown, total)


def explained(point: xr.Dataset) -> xr.Dataset:
    """Share of the measured changes between exposures that each order explains.

    1 - sum of |predicted - measured| over that of |measured|, over the windows: 1 if every change
    is as predicted, 0 if the prediction is no better than no change, and below 0 if it is worse.

    Args:
        point: as for `over_gaps`.

    Returns:
        `first`, and `both` for the sum of first and second order, for each student; NaN as there,
        and where nothing changes.
    """

    def share(windows: xr.Dataset) -> xr.Dataset:
        first, second = (windows[order].sel(block=WHOLE, drop=True) for order in ORDERS)
        left = xr.Dataset({"first": first, "both": first + second}) - windows["measured"]
        error, size = (abs(each).sum("step", skipna=False) for each in (left, windows["measured"]))
        return 1 - error / size.where(size > 0)

    return _by_stream(point, None, share)


def beyond_sham(point: xr.Dataset, sham: xr.Dataset) -> xr.Dataset:
    """Changes between exposures minus those of a task that was never shown, by student.

    Args:
        point: as for `over_gaps`.
        sham: its control, the same students on the same streams without the task, as from
            `control.pairs`.

    Returns:
        `first`, `second` and `measured` as `over_gaps`; NaN where the two were not summed over
        equally many updates.
    """
    real = over_gaps(point)
    null = over_gaps(sham, exposures.of(point))
    alike = real["steps"] == null["steps"]
    kept = [*ORDERS, "measured"]
    return (real[kept] - null[kept]).where(alike)


def _by_stream(
    point: xr.Dataset, shown: xr.DataArray | None, of: Callable[[xr.Dataset], xr.Dataset]
) -> xr.Dataset:
    """A value of the windows of each stream that lie in gaps."""
    task = states.rarest(point)
    names = {order: f"interference_{order}" for order in ORDERS}
    own = point[["reference", *names.values()]].sel(watch=task, drop=True).astype(np.float64)
    shown = exposures.of(point) if shown is None else shown
    found = []
    for i, (reference, steps) in enumerate(exposures.by_stream(own["reference"], shown)):
        changes = reference.diff("step")
        there = own.isel(stream=i) if "stream" in own.dims else own
        there = there.sel(step=changes["step"])
        windows = xr.Dataset(
            {order: there[name] for order, name in names.items()}
            | {"measured": changes, "steps": reference["step"].diff("step").astype(np.float64)}
        )
        found.append(of(windows.isel(step=_in_gaps(reference["step"].to_numpy(), steps))))
    return xr.concat(found, "stream") if "stream" in own.dims else found[0]


def _in_gaps(steps: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Which windows between neighbouring states lie in a gap, bool [S - 1]."""
    number = exposures.near(steps, shown).number
    return (number[1:] == number[:-1]) & (number[1:] > 0)
