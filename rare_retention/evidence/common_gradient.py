"""How the common tasks' gradients act on a rare one: cosines, bounds, first-order changes.

Each function takes values of one point of a study's grid, as from `states.points`.
"""

import numpy as np
import scipy
import xarray as xr

from rare_retention.evidence import states
from rare_retention.theory import interference, utility

BOUND_RTOL = 1e-3
RESIDUAL_RTOL = 1e-6
"""The share of Tr M_F that float32 may lose when a residual is computed."""


def changes(reference: xr.DataArray, predicted: xr.DataArray) -> xr.Dataset:
    """Measured and predicted change of the watched task's loss over each window of steps.

    Streams may be measured at different steps. A window goes from one step at which every stream
    was measured to the next such step.

    Args:
        reference: loss of the watched task, NaN at steps at which a stream was not measured; with
            dimensions `step`, `stream` and any others.
        predicted: first-order change of that loss by the updates since the stream's previous
            measurement, with the same dimensions.

    Returns:
        `measured`, the later loss minus the earlier, and `predicted`, the sum over the window; both
        with the dimensions given, `step` being the last step of each window.
    """
    shared = states.common(reference)
    measured = shared.diff("step")
    own = predicted.transpose(*measured.dims)
    starts, steps = shared["step"].to_numpy()[:-1], own["step"].to_numpy()
    # A stream may be measured within a window too; what one misses there shows at its end.
    own = own.isel(step=steps <= shared["step"].to_numpy()[-1])
    first = np.searchsorted(steps, starts, side="right")
    total = np.add.reduceat(own.fillna(0.0).to_numpy(), first, measured.get_axis_num("step"))
    whole = predicted.sel(step=measured["step"]).notnull()
    return xr.Dataset({"measured": measured, "predicted": measured.copy(data=total).where(whole)})


def change_error(of: xr.Dataset) -> xr.DataArray:
    """Error of the predicted changes relative to the measured ones, over windows.

    The sum of |predicted - measured| over that of |measured|, so that windows count by how much
    happens in them and errors of different sign do not cancel. NaN where a window is missing or
    nothing changes.

    Args:
        of: result of `changes`.
    """
    over = [d for d in of["measured"].dims if d not in states.UNITS]
    error = abs(of["predicted"] - of["measured"]).sum(over, skipna=False)
    size = abs(of["measured"]).sum(over)
    return error / size.where(size > 0)


def late_cosine(cosine: xr.DataArray, share: float = 0.25) -> xr.DataArray:
    """Mean |cos(G_r, G_F)| over the states in the last `share` of the run's steps (Fig. 4b)."""
    mean: xr.DataArray = abs(states.late(cosine, share)).mean("step", skipna=False)
    return mean


def rank_correlation(values: xr.DataArray) -> xr.DataArray:
    """Spearman's correlation of values with their size; 0 for values all alike.

    Args:
        values: with the dimension `size`, from small to large.
    """
    place = np.arange(values.sizes["size"], dtype=np.float64)

    def correlate(rows: np.ndarray) -> np.ndarray:
        ranks = scipy.stats.rankdata(rows, axis=-1, nan_policy="propagate")
        x, y = place - place.mean(), ranks - ranks.mean(-1, keepdims=True)
        norm = np.sqrt((x**2).sum() * (y**2).sum(-1))
        return np.asarray((x * y).sum(-1) / np.where(norm == 0, 1, norm))

    result: xr.DataArray = xr.apply_ufunc(correlate, values, input_core_dims=[["size"]])
    return result


def within_bound(point: xr.Dataset) -> xr.DataArray:
    """Whether |G_F(U)| obeys Theorem 4's bound at each common state: 1 or 0, NaN where missing.

    The squared bound is 4 lambda_1 delta_F(U), whose residual carries a rounding error of float32:
    it may be exceeded by 1e-3 of itself, and by what 1e-6 of Tr M_F adds to the residual.
    """
    prior, spectra = states.mixture(point)
    mu = interference.common_spectrum(prior, spectra, utility.common_set(prior))
    gradient = states.common(point["basis_gradient"])
    bound = states.common(point["basis_bound"])
    rounding = 4 * mu[0] * RESIDUAL_RTOL * mu.sum()
    obeyed = gradient**2 <= (bound * (1 + BOUND_RTOL)) ** 2 + rounding
    return obeyed.astype(np.float64).where(gradient.notnull() & bound.notnull())
