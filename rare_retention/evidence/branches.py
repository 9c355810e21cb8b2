"""What students hold along the branches of a study, by the steps since each turned off."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from rare_retention.evidence import retention, states

DIM = "branch"
"""Dimension of the results; its first place is the trunk."""

_OUT = "exposure.left_out"
_LOOKED_AT = ("measure", "snapshots", "checkpoints", "mesh")
"""Fields of a run that change nothing of what is learned."""


def changed(results: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Name of each branch -> what it does otherwise than the run before it, field -> value.

    What it is measured at is left out.

    Args:
        results: of a study; without branches there is none.
    """
    return {
        branch["name"]: {
            change["field"]: change["value"]
            for change in branch["changes"]
            if change["field"].partition(".")[0] not in _LOOKED_AT
        }
        for branch in _declared(results)
    }


def _declared(results: xr.Dataset) -> Sequence[Mapping[str, Any]]:
    study: Mapping[str, Any] = json.loads(results.attrs.get("study", "{}"))
    found: Sequence[Mapping[str, Any]] = study.get("branches", ())
    return found


def _without(results: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Further changes of the branches in which the rarest watched task is left out."""
    tasks = results["task"].to_numpy().tolist()
    rare = tasks.index(states.rarest(results))
    shares = results["frequency"]
    shown = (shares > 0).any([d for d in shares.dims if d != "task"])
    count, found = int(shown.sum()), {}  # the exposure numbers those that have a frequency
    for name, own in changed(results).items():
        out = own.get(_OUT, ())
        if rare in {k % count for k in out}:
            found[name] = {field: value for field, value in own.items() if field != _OUT}
    return found


def without(results: xr.Dataset) -> list[str]:
    """Branches in which the rarest watched task is left out."""
    return list(_without(results))


def quiet(results: xr.Dataset) -> list[str]:
    """Branches that go on without the task and change nothing else: curves of forgetting."""
    return [name for name, own in _without(results).items() if not own]


def protected(results: xr.Dataset, another: bool = False) -> list[str]:
    """Branches without the task in which a rule protects it.

    Args:
        results: of a study.
        another: those in which the rule protects another task in its place, the control.
    """
    return [
        name
        for name, own in _without(results).items()
        if own.get("rule.kind") == "protection"
        and (own.get("rule.along") in (None, own.get("rule.gaps", 0))) != another
    ]


def relearned(results: xr.Dataset) -> list[tuple[str, str]]:
    """Branches in which the task is shown for the first time, and those that show it again.

    A pair is what a branch without the task goes on from, and one that goes on from it with the
    same changes.
    """
    of, changes = {own["name"]: own["of"] for own in _declared(results)}, changed(results)
    return [
        (of[of[again]], again)
        for again, own in changes.items()
        if of[again] in quiet(results) and own == changes.get(of[of[again]])
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
    own = point.sel({DIM: name}, drop=True)
    found, turn = retention.level(own), own["turn"]
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
