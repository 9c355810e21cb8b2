"""States and grid points of a study's results: what all evidence is read from.

A value is NaN where its run failed, and at steps at which its run was not measured. The functions
tell these apart: what no student of a stream has was not measured there. All streams of a grid
point are measured at some common steps, and some at steps of their own, around their exposures.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import xarray as xr

from rare_retention.theory.checks import Array

UNITS = ("stream", "initialisation")
"""The dimensions over which students of one size are repeated."""

OWN = frozenset(
    {
        *UNITS,
        *("size", "step", "task", "watch", "prompt", "direction", "neuron"),
        *("block", "vector", "other", "exposure"),
        *("snapshot", "layer"),
    }
)
"""Dimensions that results have by themselves, and no axis of a study may."""


def grid(results: xr.Dataset) -> tuple[str, ...]:
    """The dimensions of the grid that the study varied.

    Those that `finished` has: a quantity may have dimensions of its own that nobody here knows.
    """
    dims = results["finished"].dims if "finished" in results else results.sizes
    return tuple(str(name) for name in dims if name not in OWN)


def trunk(results: xr.Dataset) -> xr.Dataset:
    """The results without branches: of the runs that go on from no other.

    What a branch was measured at beyond them is left out.
    """
    if "branch" not in results.dims:
        return results
    own = results.sel(branch="trunk", drop=True).drop_vars("turn", errors="ignore")
    along = [each for each in own.data_vars.values() if "step" in each.dims]
    seen = [each.notnull().any([d for d in each.dims if d != "step"]) for each in along]
    return own.isel(step=np.any(seen, axis=0)) if seen else own


def points(
    results: xr.Dataset, keep: Sequence[str] = (), unfinished: bool = False
) -> Iterator[xr.Dataset]:
    """The points of the grid that a study varied, their places as scalar coordinates.

    Args:
        results: of a study.
        keep: dimensions of the grid that stay within each point.
        unfinished: include points at which no run has finished, as far as they came.
    """
    names = [name for name in grid(results) if name not in keep]
    for place in product(*(range(results.sizes[name]) for name in names)):
        point = results.isel(dict(zip(names, place, strict=True)))
        if not unfinished and "finished" in point and not point["finished"].any():
            continue
        if "frequency" in point:
            known = point["frequency"].notnull()  # NaN where no run has begun
            known = known.any([d for d in known.dims if d != "task"])
            if not known.any():
                continue
            point = point.isel(task=known.to_numpy())
        yield point


def along(
    results: xr.Dataset,
    name: str,
    value: Callable[[xr.Dataset], xr.DataArray],
    unfinished: bool = False,
) -> xr.DataArray:
    """A value of each point of the grid, joined along the one dimension that it has.

    Args:
        results: of a study, at one place of every other dimension of its grid.
        name: the dimension; a scalar coordinate becomes a dimension of size 1.
        value: of one point.
        unfinished: as in `points`.

    Raises:
        ValueError: there is no such point.
    """
    found = {
        point[name].item(): value(point).reset_coords(drop=True)
        for point in points(results, unfinished=unfinished)
    }
    if not found:
        raise ValueError(f"no point along {name} has been measured")
    places = xr.DataArray(list(found), dims=name, name=name)
    return xr.concat(found.values(), places, coords="minimal", compat="override", join="exact")


def finished(results: xr.Dataset) -> xr.Dataset:
    """The results with NaN for every measured value of a run that has not finished."""
    if "finished" not in results or results["finished"].all():
        return results
    measures = {
        name: values.where(results["finished"])
        for name, values in results.items()
        if {"step", "snapshot"} & set(values.dims)
    }
    return results.assign(measures)


def mixture(point: xr.Dataset) -> tuple[Array, Array]:
    """Frequencies pi [K] and eigenvalues lambda [K, d_T] of a grid point, float64."""
    spectra = point["spectrum"].transpose("task", "direction").fillna(0.0)
    return (
        point["frequency"].to_numpy().astype(np.float64),
        spectra.to_numpy().astype(np.float64),
    )


def without_shams(point: xr.Dataset) -> xr.Dataset:
    """A grid point with the tasks of its mixture alone, without those of frequency 0.

    A sham is never shown: whether there is room for it is no question of the mixture.
    """
    shares = point["frequency"]
    shown = (shares > 0).any([d for d in shares.dims if d != "task"])
    return point.isel(task=shown.to_numpy())


def rarest(point: xr.Dataset) -> str:
    """Name of the rarest of the watched tasks that have a frequency; of equally rare ones the last.

    Raises:
        ValueError: the point has none of them.
    """
    watched = point["watch"].to_numpy().tolist()
    found = [task for task in point["task"].to_numpy().tolist() if task in watched]
    if not found:
        raise ValueError("the grid point has none of the watched tasks")
    if "frequency" in point:
        shares = point["frequency"].sel(task=found)
        shares = shares.mean([d for d in shares.dims if d != "task"])
        if (shares > 0).any():
            shares = shares.where(shares > 0)
        found = [task for task, least in zip(found, shares == shares.min(), strict=True) if least]
    return str(found[-1])


def measured(values: xr.DataArray) -> xr.DataArray:
    """The states, float64, at steps where at least one student has a value.

    Where no student has any, the last state stands for them all.
    """
    seen = values.notnull().any([d for d in values.dims if d != "step"]).to_numpy()
    seen[-1] |= not seen.any()
    return values.isel(step=seen).astype(np.float64)


def own(values: xr.DataArray) -> xr.DataArray:
    """At which steps each stream was measured: some student of it has a value; bool [stream, step].

    Without the dimension `stream` all values are one stream's.
    """
    return values.notnull().any([d for d in values.dims if d not in ("stream", "step")])


def common(values: xr.DataArray) -> xr.DataArray:
    """The states, float64, at the steps at which all streams were measured.

    A stream that came less far than another does not count: it is missing at the later steps.
    """
    present = measured(values)
    if "stream" not in present.dims:
        return present
    seen = own(present).transpose("stream", "step").to_numpy()
    to_the_end = seen[seen[:, -1]]
    return present.isel(step=to_the_end.all(0))


def unbroken(values: xr.DataArray) -> xr.DataArray:
    """Which students have a value at every step at which their stream was measured.

    Bool, without the dimension `step`; False throughout a stream that was never measured.
    """
    seen = own(values)
    return (values.notnull() | ~seen).all("step") & seen.any("step")


def final(values: xr.DataArray) -> xr.DataArray:
    """Values of one grid point at its last common step.

    A student that diverged before is NaN: its last good state is not its final one.
    """
    return common(values).isel(step=-1, drop=True)


def halfway(values: xr.DataArray) -> xr.DataArray:
    """Values of one grid point at the last common step in the first half of its run."""
    present = common(values)
    steps = present["step"].to_numpy()
    index = max(int(np.searchsorted(steps, steps[-1] / 2, side="right")) - 1, 0)
    return present.isel(step=index, drop=True)


def late(values: xr.DataArray, share: float = 0.25) -> xr.DataArray:
    """Values of one grid point at the common steps in the last `share` of those its run took."""
    present = common(values)
    steps = present["step"]
    return present.isel(step=(steps >= (1 - share) * steps[-1]).to_numpy())


def complete(values: xr.DataArray) -> xr.DataArray:
    """Whether all values of each stream and initialisation are there; bool over `UNITS`."""
    return values.notnull().all([d for d in values.dims if d not in UNITS])
