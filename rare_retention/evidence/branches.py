"""What students hold along the branches of a study, by the steps since each turned off."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from rare_retention.evidence import control, exposures, retention, states

DIM = "branch"
"""Dimension of the results; its first place is the trunk."""

_OUT = "exposure.left_out"
_LOOKED_AT = ("measure", "snapshots", "checkpoints", "mesh")
"""Fields of a run that change nothing of what is learned."""

_START = ("of", "at", "after_exposure")  # what a branch goes on from


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


def bare(results: xr.Dataset, name: str) -> str | None:
    """The branch that does what another does but for its rule, from the same state.

    Args:
        results: of a study.
        name: of the branch with a rule; None is returned where it has no such counterpart.
    """
    starts = {own["name"]: [own.get(k) for k in _START] for own in _declared(results)}
    changes = changed(results)
    plain = {k: value for k, value in changes[name].items() if not k.startswith("rule.")}
    found = [
        other for other, own in changes.items() if own == plain and starts[other] == starts[name]
    ]
    return next((other for other in found if other != name), None)


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


def level(point: xr.Dataset, name: str, task: str | None = None) -> xr.DataArray:
    """The raw level of a watched task along a branch.

    Args:
        point: of a study's grid with the dimension `branch`, as for `retention.level`.
        name: of the branch.
        task: its name; the rarest watched one by default.

    Returns:
        As `retention.level`, with `step` counted from the state that the branch goes on from; the
        steps that all streams have which were measured. The others are NaN, and there are no steps
        where none was.
    """
    task = states.rarest(point) if task is None else task
    own = point.sel({DIM: name}, drop=True)
    found, turn = retention.level(own, task), own["turn"]
    if "stream" not in found.dims:
        return _since(found, float(turn))
    found = found.assign_coords(stream=found["stream"])  # numbers, where streams have no names
    each = [_since(found.isel(stream=[i]), float(turn[i])) for i in range(found.sizes["stream"])]
    there = [one for one in each if one.sizes["step"]] or each[:1]
    joined = xr.concat(there, "stream", join="inner", coords="minimal", compat="override")
    return joined.reindex(stream=found["stream"]).transpose(*found.dims)


def above(point: xr.Dataset, name: str, own: xr.Dataset | None = None) -> xr.DataArray:
    """The level along a branch above what a student has of the task without having seen it.

    That is the level of the control, the same students without the task; else that of a sham, a
    watched task of the same kind that was not shown along the branch nor before it, in the same
    students. A study that has neither leaves the level raw, and so does a null below 0: the loss of
    a task that is never shown goes anywhere.

    Args:
        point: as for `level`.
        name: of the branch.
        own: the point's control, as from `pairs`, with the same branches.

    Returns:
        As `level`; NaN where the control is missing.
    """
    found, never = level(point, name), shams(point.sel({DIM: name}, drop=True))
    if own is not None:
        null = level(own, name, states.rarest(point))
    elif never:
        null = level(point, name, never[-1])
    else:
        return found
    return found - null.reindex(step=found["step"]).clip(min=0)


def shams(point: xr.Dataset) -> list[str]:
    """Watched tasks of the rarest one's kind that a run was never shown, nor those before it.

    A kind has one name, to which a number is added: "comparison", "comparison 2".

    Args:
        point: of a study's grid, without the dimension `branch`.
    """
    rare = states.rarest(point)
    if "exposure_step" not in point:
        return []
    kind, tasks = _kind(rare), point["watch"].to_numpy().tolist()
    others = [task for task in tasks if task != rare and _kind(task) == kind]
    return [task for task in others if not exposures.of(point, task).notnull().any()]


def _kind(task: str) -> str:
    return re.sub(r" \d+$", "", task)


def _since(values: xr.DataArray, turn: float) -> xr.DataArray:
    """One stream's values by the steps since it turned off; those that it was measured at."""
    seen = values.notnull().any([d for d in values.dims if d != "step"])
    own = values.isel(step=np.flatnonzero(seen.to_numpy()))
    return own.assign_coords(step=own["step"] - turn).sel(step=slice(0, None))


def pairs(results: xr.Dataset) -> list[tuple[xr.Dataset, xr.Dataset | None]]:
    """Grid points at which the rarest watched task is shown, with their controls if there are any.

    Each has all its branches. Where some arm has not begun, which may be the control, points wait.
    """
    found: list[tuple[xr.Dataset, xr.Dataset | None]] = []
    for place in states.points(results, [DIM, control.LEFT_OUT]):
        if control.LEFT_OUT not in place.dims:
            if not control.is_control(place):
                found.append((place, None))
            continue
        each = [place.isel({control.LEFT_OUT: i}) for i in range(place.sizes[control.LEFT_OUT])]
        begun = [point for point in each if point["frequency"].notnull().any()]
        controls = [point for point in begun if control.is_control(point)]
        if controls or len(begun) == len(each):
            own = controls[0] if controls else None
            found += [(point, own) for point in begun if not control.is_control(point)]
    return found


def points(results: xr.Dataset) -> list[xr.Dataset]:
    """The points of `pairs` without their controls."""
    return [point for point, _ in pairs(results)]
