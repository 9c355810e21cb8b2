"""What students hold along the branches of a study, by the steps since each turned off."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from rare_retention.evidence import retention, states

DIM = "branch"
"""Dimension of the results; its first place is the trunk."""

_LOOKED_AT = ("measure", "snapshots", "checkpoints", "mesh")
"""Fields of a run that change nothing of what is learned."""


def changed(results: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Name of each branch -> what it does otherwise than the run before it, field -> value.

    What it is measured at is left out.

    Args:
        results: of a study; without branches there is none.
    """
    study: Mapping[str, Any] = json.loads(results.attrs.get("study", "{}"))
    return {
        branch["name"]: {
            change["field"]: change["value"]
            for change in branch["changes"]
            if change["field"].partition(".")[0] not in _LOOKED_AT
        }
        for branch in study.get("branches", ())
    }


def quiet(results: xr.Dataset) -> list[str]:
    """Branches in which nothing changes but that tasks are left out: curves of forgetting."""
    return [name for name, own in changed(results).items() if own.keys() == {"exposure.left_out"}]


def protected(results: xr.Dataset) -> list[str]:
    """Branches without tasks in which a rule protects the task itself, and not another one."""
    return [
        name
        for name, own in changed(results).items()
        if "exposure.left_out" in own
        and own.get("rule.kind") == "protection"
        and own.get("rule.along") in (None, own.get("rule.gaps", 0))
    ]


def level(point: xr.Dataset, name: str) -> xr.DataArray:
    """The level of the rarest watched task along a branch.

    Args:
        point: of a study's grid with the dimension `branch`, as for `retention.level`.
        name: of the branch.

    Returns:
        As `retention.level`, with `step` counted from the state that the branch goes on from; the
        steps that all streams have.
    """
    found = retention.level(point.sel({DIM: name}))
    turn = point["turn"].sel({DIM: name})
    if "stream" not in found.dims:
        return _since(found, float(turn))
    each = [
        _since(found.sel(stream=stream), float(turn.sel(stream=stream)))
        for stream in found["stream"].to_numpy()
    ]
    joined = xr.concat(each, found["stream"], join="inner", coords="minimal", compat="override")
    return joined.transpose(*found.dims)


def _since(values: xr.DataArray, turn: float) -> xr.DataArray:
    """One stream's values by the steps since it turned off; those that it was measured at."""
    seen = values.notnull().any([d for d in values.dims if d != "step"])
    own = values.isel(step=np.flatnonzero(seen.to_numpy()))
    return own.assign_coords(step=own["step"] - turn).sel(step=slice(0, None))


def points(results: xr.Dataset, unfinished: bool = False) -> list[xr.Dataset]:
    """The points of the grid, each with all its branches; arguments as `states.points`."""
    return list(states.points(results, [DIM], unfinished))
