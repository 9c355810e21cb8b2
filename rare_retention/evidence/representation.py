"""Evidence from snapshots as results hold it: the last of it, and how it grows (Figs. 7, 10).

It has a dimension `snapshot`, the step of the weights. A task that a kind of evidence cannot be
asked about, such as one without a sum, is NaN throughout.
"""

import xarray as xr

from rare_retention.evidence import states, text_tasks


def asked(results: xr.Dataset, name: str) -> list[str]:
    """The injected tasks of which a variable has been measured; all if it has of none."""
    tasks = text_tasks.injected(results)
    return [k for k in tasks if results[name].sel(task=k).notnull().any()] or tasks


def over_training(point: xr.Dataset, name: str, task: str) -> xr.DataArray:
    """Values of a task along `step`, the steps at which all streams have snapshots.

    Args:
        point: one point of a study's grid, as from `states.points`.
        name: of the variable.
        task: its name.
    """
    values = point[name].sel(task=task, drop=True).rename(snapshot="step")
    return states.common(values)


def at_end(point: xr.Dataset, name: str, task: str) -> xr.DataArray:
    """Values of a task at the last snapshot; arguments are as in `over_training`."""
    return over_training(point, name, task).isel(step=-1, drop=True)


def modes_at_end(point: xr.Dataset, task: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Fourier modes at the last snapshot, summed over layers, and as many as chance gives."""
    counts = (at_end(point, name, task) for name in ("modes", "modes_by_chance"))
    found, chance = (each.sum("layer", min_count=1) for each in counts)
    return found, chance
