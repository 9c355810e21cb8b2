"""Results of a study: all its runs as one xarray Dataset with named dimensions and units."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from etils import epath

from rare_retention.config import to_json
from rare_retention.errors import UserError
from rare_retention.record import metrics, records
from rare_retention.record.dataset import load, save
from rare_retention.record.exposures import read_exposures
from rare_retention.record.manifest import NAME as MANIFEST
from rare_retention.record.manifest import Manifest, read_manifest
from rare_retention.record.seal import Foreign
from rare_retention.settings.quantity import Quantity
from rare_retention.study.folder import RESULTS, RUNS, STUDY, stored_study
from rare_retention.study.grid import Study, units

EVIDENCE = "evidence.nc"
"""Evidence from the snapshots of a study, in its folder (`study.evidence`)."""

_UNITS = {
    "step": "steps",
    "snapshot": "steps",
    "gap": "steps",
    "steps": "steps",
    "width": "hidden units",
    "parameters": "weights",
    "batch": "rows",
    "window": "tokens",
    "per_token": "instances / token",
}


def gather(study: Study, workdir: epath.Path) -> xr.Dataset:
    """Joins the units of a study; what was not measured or not run is NaN.

    Dimensions are (stream, *grid, size, initialisation, step, ...); runs may be measured at
    different steps, the results have the union of them. Sizes that were trained apart join along
    `size`, from small to large; those of which no unit was measured yet are left out. Evidence from
    snapshots, if there is any, has a dimension `snapshot` in place of `step`.

    Raises:
        UserError: no unit has been measured yet, or a file is damaged.
    """
    parts = []
    for unit in units(study):
        part = load_run(workdir / RUNS / unit.name, unit.run.identity())
        if part is not None:
            parts.append((unit.coordinates, part))
    if not parts:
        raise UserError(f"{workdir}: no unit of this study has been measured yet")
    joined = join(study.dimensions, parts)
    joined = joined.assign_attrs(
        name=study.name,
        question=study.question,
        study=to_json(study),
        held=", ".join(study.run.fixed),
        inputs=parts[0][1].attrs["inputs"],
        steps=study.run.steps,
    )
    if "gap" not in joined.dims:
        gap = ((), study.run.exposure.steps_between, {"units": units_of("gap")})
        joined = joined.assign_coords(gap=gap)
    joined.attrs |= told(study)
    return with_evidence(joined, workdir / EVIDENCE)


def told(study: Study) -> dict[str, str]:
    """The attribute by which a file says of which runs it is: unit -> identity, as JSON."""
    return {"runs": json.dumps({unit.name: unit.run.identity() for unit in units(study)})}


def check_runs(found: xr.Dataset, runs: str, path: epath.Path, remedy: str) -> None:
    """Takes no data of other runs for a study's, which may have grown or shrunk since.

    Args:
        found: data that may have the attribute that `told` makes; older versions wrote none.
        runs: that attribute of the study.
        path: where the data were read.
        remedy: what makes them again, once the file is deleted.

    Raises:
        Foreign: a run that both name is another one, or they name none together.
    """
    theirs, own = json.loads(found.attrs.get("runs", "{}")), json.loads(runs)
    both = theirs.keys() & own.keys()
    other = sorted(name for name in both if theirs[name] != own[name])
    if theirs and own and (other or not both):
        what = f"another run {other[0]}" if other else f"{min(theirs)} and no run of this study"
        raise Foreign(f"{path}: is of {what}: it belongs elsewhere; delete it and {remedy}")


def load_own(path: epath.Path, remedy: str = "run launch.report again") -> xr.Dataset:
    """What `collect` or `launch.evidence` has written into a workdir, if it is the study's there.

    Args:
        path: of the file, beside that of the study if there is one.
        remedy: what makes it again, once it is deleted.

    Raises:
        UserError: there is none, it is damaged, or of another study.
    """
    found = load(path, remedy)
    if (path.parent / STUDY).exists():
        try:
            own = told(stored_study(path.parent))["runs"]
        except UserError:  # its corpus is not here, or it uses what no file has added
            return found
        check_runs(found, own, path, remedy)
    return found


def collect(study: Study, workdir: epath.Path) -> xr.Dataset:
    """Gathers the results of a study and writes them to results.nc; errors as in `gather`."""
    results = gather(study, workdir)
    save(results, workdir / RESULTS)
    return results


def with_evidence(results: xr.Dataset, path: epath.Path) -> xr.Dataset:
    """The results with what `launch.evidence` has measured of their snapshots, if anything."""
    if not path.exists():
        return results
    again = "run launch.evidence again"
    found = load(path, remedy=again)
    check_runs(found, results.attrs.get("runs", "{}"), path, again)
    found.attrs.pop("runs", None)
    found = found.drop_vars(["width", "parameters"])  # the results have them
    shared = {name: results[name] for name in found.dims if name in results.dims}
    return results.merge(found.reindex(shared), combine_attrs="override")


def load_run(folder: epath.Path, identity: str = "") -> xr.Dataset | None:
    """Results of one run, of all its sizes from small to large; None where none was measured.

    Args:
        folder: of the run.
        identity: fingerprint of the recipe that is expected there; "" takes any.

    Returns:
        Measured values (size, initialisation, step, ...), constants of the tasks, what a step
        costs, and the exposures. Sizes and tasks are indexed by their names; along `size` stand
        also `width` and `parameters`. Every variable and coordinate has the attribute `units`.
    """
    about = read_manifest(folder)
    if about is None:
        if metrics.names(folder):
            raise UserError(
                f"{folder / MANIFEST}: is missing, though the run has metrics; restore it, or run "
                "the study again, which writes it anew"
            )
        return None
    if about.sealed:
        _check(folder, about, identity or about.identity)
    values = metrics.read(folder, about.identity, about.sealed)
    if not values:
        return None
    steps = values.pop("step")
    sizes = {student.size: student for student in about.students}
    draws = list(dict.fromkeys(student.initialisation for student in about.students))
    done = np.full(len(sizes), about.status == "finished")
    variables = {
        **_measured(about, values, (len(sizes), len(draws), len(steps))),
        **_constants(about),
        **_costs(about),
        **_exposures(folder, about, int(steps[-1])),
        **_turn(about),
        **_halted(about, draws),
        "finished": (("size",), done, {"units": "1", "long_name": "whether the run has ended"}),
    }
    coordinates = {
        "size": ("size", list(sizes)),
        "width": ("size", [student.width for student in sizes.values()]),
        "parameters": ("size", [student.parameters for student in sizes.values()]),
        "initialisation": ("initialisation", draws),
        "step": ("step", steps),
        "task": ("task", list(about.tasks)),
        "watch": ("watch", [about.tasks[k] for k in about.watch]),
        **{dim: (dim, list(names)) for dim, names in about.labels.items()},
    }
    used = {dim for dims, *_ in variables.values() for dim in dims}
    kept = {
        name: (dim, found, {"units": units_of(name)})
        for name, (dim, found) in coordinates.items()
        if dim in used
    }
    return xr.Dataset(variables, kept, {"inputs": about.inputs})


def _check(folder: epath.Path, about: Manifest, identity: str) -> None:
    """Checks that a run is the expected one, and that all it has kept is there.

    Raises:
        UserError: it is another, or something is missing.
    """
    if about.identity != identity:
        raise UserError(
            f"{folder}: is the run of another recipe ({about.identity}, expected {identity}); put "
            "it back where it was, or delete it to train this one"
        )
    ended = about.status in ("finished", "stopped")
    # What is read here: results are whole without snapshots.
    lost = [
        name
        for name in records.missing(folder, about.records)
        if not name.startswith(records.RETENTION)
    ]
    if ended and lost:
        raise UserError(
            f"{folder}: has {about.status}, but {lost[0]} is not there; restore it, or run the "
            "study again, which trains again what is missing"
        )


def units_of(coordinate: str) -> str:
    """Units of a coordinate of the results; "1" for names, numbers of draws, and other fields."""
    return _UNITS.get(coordinate, "1")


def _measured(
    about: Manifest, values: dict[str, np.ndarray], shape: tuple[int, ...]
) -> dict[str, Any]:
    """Measured values of a run (size, initialisation, step, ...) from those by [step, student]."""
    found = {}
    for name, array in values.items():
        quantity = about.quantities[name]
        students = np.moveaxis(array, 1, 0).reshape(*shape, *array.shape[2:])
        dims = ("size", "initialisation", "step", *quantity.dims)
        found[name] = (dims, students, _described(quantity))
    return found


def _constants(about: Manifest) -> dict[str, Any]:
    """What theory needs of the tasks, and which of them are withheld."""
    found: dict[str, Any] = {
        name: (
            constant.quantity.dims,
            constant.values,
            _described(constant.quantity),
        )
        for name, constant in about.constants.items()
    }
    withheld = [float(task in about.withheld) for task in range(len(about.tasks))]
    words = {"units": "1", "long_name": "whether the task is absent between bursts"}
    planned = about.planned or [1.0] * len(about.tasks)
    left_out = [float(slots == 0) for slots in planned]
    never = {"units": "1", "long_name": "whether the task is never shown"}
    return found | {
        "is_withheld": (("task",), withheld, words),
        "is_left_out": (("task",), left_out, never),
    }


def _costs(about: Manifest) -> dict[str, Any]:
    """Rows and tokens of a training step, and operations of one model of each size."""
    sizes = dict.fromkeys(student.size for student in about.students)
    each = [about.step_flops[str(size)] for size in sizes]
    words = {"units": "FLOPs", "long_name": "matrix products of a step of one model"}
    return {
        "step_rows": ((), float(about.step_rows), {"units": "rows"}),
        "step_tokens": ((), float(about.step_tokens), {"units": "tokens"}),
        "step_flops": (("size",), each, words),
    }


def _turn(about: Manifest) -> dict[str, Any]:
    """Where a branch goes on from the run before it."""
    turns = about.recipe.get("turns", [])
    words = {"units": "steps", "long_name": "updates before the state that a branch goes on from"}
    return {"turn": ((), float(turns[-1]["step"]), words)} if turns else {}


def _halted(about: Manifest, draws: Sequence[int]) -> dict[str, Any]:
    """When students diverged, if any did; NaN for the others."""
    if not about.halted:
        return {}
    steps = [about.halted.get(student.label, np.nan) for student in about.students]
    words = {"units": "steps", "long_name": "updates before a student that diverged was frozen"}
    values = np.reshape(np.array(steps, np.float64), (-1, len(draws)))
    return {"halted": (("size", "initialisation"), values, words)}


def _described(quantity: Quantity) -> dict[str, str]:
    return {"units": quantity.unit, "long_name": quantity.meaning}


def _exposures(folder: epath.Path, about: Manifest, reached: int) -> dict[str, Any]:
    """Exposures of the watched tasks as far as a run came [watch, exposure], NaN after the last.

    That of the batch that the last state would be trained on next is among them, if it holds one.
    """
    found = list(read_exposures(folder, about.identity, about.sealed).values())
    known = [own.steps[own.steps <= reached] for own in found]
    shape = (len(known), max(map(len, known)))
    step, count = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, (own, seen) in enumerate(zip(found, known, strict=True)):
        step[i, : len(seen)], count[i, : len(seen)] = seen, own.counts[: len(seen)]
    dims = ("watch", "exposure")
    return {
        "exposure_step": (dims, step, {"units": "step", "long_name": "batch that holds the task"}),
        "exposure_count": (
            dims,
            count,
            {"units": about.exposure_unit, "long_name": "of the task in the batch"},
        ),
    }


def join(
    places: dict[str, list[Any]], parts: Sequence[tuple[dict[str, Any], xr.Dataset]]
) -> xr.Dataset:
    """What was measured of the units of a study as one Dataset; NaN, or False, where there is none.

    Args:
        places: dimension -> coordinates, of all units of the study but their sizes.
        parts: place of each unit in them, and its values with a dimension `size`.

    Returns:
        The dimensions of `places`, then those of the parts. What is known before a run begins, such
        as frequencies, has no stream.

    Each unit is written into its place. `xarray.merge` would first blow each up to the size of all:
    36 units of 300 steps of their own take it 60 times as long and 40 times the memory.
    """
    runs = [part for _, part in parts]
    outer = {name: (name, values, {"units": units_of(name)}) for name, values in places.items()}
    joined = xr.Dataset(coords={**outer, **_coordinates(runs)})
    sizes = {dim: max(run.sizes.get(dim, 0) for run in runs) for run in runs for dim in run.dims}
    sizes |= dict(joined.sizes)
    for place, run in parts:
        for name, variable in run.data_vars.items():
            if name not in joined:
                dims = (*_leading(places, str(name), variable), *variable.dims)
                joined[name] = (dims, _empty(variable, [sizes[d] for d in dims]), variable.attrs)
            _fill(joined[name], variable, place)
    return joined


def _leading(places: dict[str, list[Any]], name: str, variable: xr.DataArray) -> tuple[str, ...]:
    own = (
        variable.dtype == bool
        or name in ("turn", "halted")  # each stream's own
        or {"step", "exposure", "snapshot"} & set(variable.dims)
    )
    return tuple(places) if own else tuple(name for name in places if name != "stream")


def _empty(variable: xr.DataArray, shape: Sequence[int]) -> np.ndarray:
    if variable.dtype == bool:
        return np.zeros(shape, bool)
    kind = variable.dtype if variable.dtype.kind == "f" else np.float64
    return np.full(shape, np.nan, kind)


def _coordinates(runs: Sequence[xr.Dataset]) -> dict[Any, xr.DataArray]:
    """Coordinates of all runs: sizes from small to large, steps ascending, others as they come."""
    found: dict[Any, xr.DataArray] = {}
    for dim in dict.fromkeys(dim for run in runs for dim in run.dims):
        having = sorted((run for run in runs if dim in run.indexes), key=lambda r: -r.sizes[dim])
        if not having:
            continue
        values = having[0].get_index(dim)
        for run in having[1:]:
            values = values.append(run.get_index(dim).difference(values, sort=False))
        if dim == "step":
            values = values.sort_values()
        found[dim] = xr.DataArray(values, dims=str(dim), attrs=having[0][dim].attrs)
    along_size = xr.concat(
        [run[["width", "parameters"]].reset_coords() for run in runs], "size"
    ).drop_duplicates("size")
    along_size = along_size.sortby("parameters")
    found["size"] = along_size["size"].assign_attrs(runs[0]["size"].attrs)
    for name in ("width", "parameters"):
        found[name] = along_size[name].assign_attrs(runs[0][name].attrs)
    return found


def _fill(into: xr.DataArray, values: xr.DataArray, place: dict[str, Any]) -> None:
    """Writes the values of one unit into their place."""
    at = []
    for dim in into.dims:
        if dim in place:
            at.append(np.atleast_1d(into.get_index(dim).get_loc(place[str(dim)])))
        elif dim in values.indexes:
            at.append(into.get_index(dim).get_indexer(values.get_index(dim)))
        else:
            at.append(np.arange(values.sizes[dim]))
    into.values[np.ix_(*at)] = values.to_numpy().reshape([len(part) for part in at])
