"""Learning rates at which students of all sizes gain alike from a row of the rare task.

The same learning rate moves a large student further than a small one, or less far, so that what it
keeps may only reflect what it gained. A calibration study trains all sizes at several peaks of the
learning rate; the peaks at which their gains are equal are read between them.

A gain is counted for each row of the task that was shown, over the same cycles for all sizes.
Totals do not compare: a size that learns at once stops gaining, and bursts of other sizes give
other totals at equal gains.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from rare_retention.errors import ConfigError, UserError
from rare_retention.evidence import exposures, retention, states
from rare_retention.theory.checks import Array

PEAK = "peak"
"""Dimension of a calibration study: the field optimizer.peak."""


class Match(NamedTuple):
    """Peaks of equal gain.

    Attributes:
        gain: that all sizes have, for each row of the task that is shown.
        peaks: learning rate of each size, from small to large [size].
    """

    gain: float
    peaks: xr.DataArray

    @property
    def relative(self) -> tuple[float, ...]:
        """Peak of each size over that of the smallest, small to large."""
        peaks = self.peaks.to_numpy()
        return tuple((peaks / peaks[0]).tolist())


def gains(results: xr.Dataset) -> xr.DataArray:
    """Gain of each size at each peak for each row of the task shown [peak, size], mean over units.

    The gain is that in the level of the rarest watched task (`retention.level`), in cycles before
    any size has learned it at that peak; NaN where there is none or a student is missing.

    The level is raw: a calibration study has no control. The claim at matched gain takes it above
    the control, which makes a rise within a cycle less by what the control's level moves in it.
    Where that is not little, such as before a synthetic control has settled, match again by what
    the claim's note says of the gains.

    Raises:
        UserError: the study does not vary the peak alone, no run of it has finished, or no cycle
            was measured.
    """
    varied = states.grid(results)
    if varied != (PEAK,):
        others = ", ".join(varied) or "nothing"
        raise UserError(
            f"a calibration study varies optimizer.{PEAK} alone, this one {others}: give its grid "
            f"one Axis, of the field optimizer.{PEAK}"
        )
    if not results["finished"].any():
        raise UserError("no run of the calibration study has finished")
    found = states.along(states.finished(results), PEAK, _gain)
    return found.sortby(PEAK).transpose(PEAK, "size")


def match(gain: xr.DataArray, target: float | None = None) -> Match:
    """The peaks at which all sizes have one gain.

    A size's peak is read on straight lines through its gains over its peaks, both as logarithms,
    from its lowest peak with a gain to the one with the greatest gain; a peak that gains less than
    a lower one is passed over.

    Args:
        gain: [peak, size], peaks ascending and sizes from small to large, as from `gains`.
        target: gain to be matched. By default that of the smallest size at the middle peak or,
            where another size does not have it, the nearest one that all have.

    Raises:
        ConfigError: the target lies outside the gains of a size.
        UserError: a size gains nothing, or there is no gain that all have.
    """
    curves = [_curve(gain.isel(size=i)) for i in range(gain.sizes["size"])]
    low = max(float(values[0]) for _, values in curves)
    high = min(float(values[-1]) for _, values in curves)
    if low > high:
        raise UserError(
            f"no gain that all sizes have: one gains {low:.3g} and more at these peaks, another "
            f"{high:.3g} at most; add lower or higher peaks to the calibration study"
        )
    if target is None:
        middle = float(gain.isel(size=0)[(gain.sizes[PEAK] - 1) // 2])
        target = float(np.clip(middle, low, high)) if np.isfinite(middle) else high
    elif not low <= target <= high:
        raise ConfigError(
            "gain", f"expected a gain that all sizes have, {low:.3g} to {high:.3g}, got {target:g}"
        )
    peaks = [_read(target, *curve) for curve in curves]
    return Match(target, xr.DataArray(peaks, {"size": gain["size"]}, ("size",)))


def _gain(point: xr.Dataset) -> xr.DataArray:
    """Gain of each size at one peak."""
    found = retention.level_cycles(point)
    if found is None:
        raise UserError(
            f"at peak {point[PEAK].item():g} no whole cycle between exposures was measured: a "
            "calibration study needs measure.cycles, and a task that is not in every batch"
        )
    rows = exposures.rows(point, found["exposure"])
    early = retention.gain_per_row(found, rows, retention.before_any(found))
    early = early.where((found["gain"].notnull() | found["exposure"].isnull()).all("cycle"))
    units = [name for name in states.UNITS if name in early.dims]
    mean: xr.DataArray = early.mean(units, skipna=False)
    return mean


def _curve(gain: xr.DataArray) -> tuple[Array, Array]:
    """Peaks and gains of one size, both ascending.

    Raises:
        UserError: there is no gain.
    """
    peaks, values = gain[PEAK].to_numpy().astype(np.float64), gain.to_numpy()
    positive = np.isfinite(values) & (values > 0)
    if not positive.any():
        raise UserError(f"the size {gain['size'].item()} gains nothing at any peak")
    peaks, values = peaks[positive], values[positive]
    rising = np.flatnonzero(values > np.maximum.accumulate([0.0, *values[:-1]]))
    return peaks[rising], values[rising]


def _read(target: float, peaks: Array, values: Array) -> float:
    """The peak of a gain."""
    return float(np.exp(np.interp(np.log(target), np.log(values), np.log(peaks))))
