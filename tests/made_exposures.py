"""Exposures of made-up studies, in the form in which those of real ones are gathered."""

import numpy as np
import xarray as xr


def burst(gap, last):
    """Steps of bursts [exposure] up to the state `last`."""
    return xr.DataArray(np.arange(gap - 1, last + 1, gap, dtype=float), dims="exposure")


def streams(*rows):
    """Steps of each stream's exposures [stream, exposure], NaN after the last."""
    most = max(map(len, rows))
    padded = [[*map(float, row), *[np.nan] * (most - len(row))] for row in rows]
    return xr.DataArray(np.array(padded).reshape(len(rows), most), dims=("stream", "exposure"))


def with_bursts(results):
    """Results whose watched tasks are all shown in bursts of their gap, in every stream."""
    last, gaps = int(results["step"][-1]), np.atleast_1d(results["gap"].to_numpy()).tolist()
    rows = streams(*(np.arange(gap - 1, last + 1, gap) for gap in gaps)).rename(stream="gap")
    sizes = {name: results.sizes[name] for name in ("stream", "watch")}
    varied = "gap" in results.dims
    step = (rows if varied else rows.isel(gap=0)).expand_dims(sizes)
    step = step.transpose("stream", *(["gap"] if varied else []), "watch", "exposure")
    return results.assign(exposure_step=step, exposure_count=xr.where(step.notnull(), 8.0, np.nan))
