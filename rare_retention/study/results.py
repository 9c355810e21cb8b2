"""Results of a study: all its runs as one xarray Dataset with named dimensions and units."""

from typing import Any

import numpy as np
import xarray as xr
from etils import epath

from rare_retention.config import to_json
from rare_retention.errors import UserError
from rare_retention.record import metrics
from rare_retention.record.dataset import load, save
from rare_retention.record.manifest import read_manifest
from rare_retention.study.folder import RESULTS, RUNS
from rare_retention.study.grid import Study, cells

EVIDENCE = "evidence.nc"
"""Evidence from the snapshots of a study, in its folder (`study.evidence`)."""


def gather(study: Study, workdir: epath.Path) -> xr.Dataset:
    """Joins the runs of a study; what was not measured or not run is NaN.

    Dimensions are (stream, *grid, size, initialisation, step, ...); the runs of a grid may be
    measured at different steps, the results have the union of them. Evidence from snapshots, if
    there is any, has a dimension `snapshot` in place of `step`.

    Raises:
        UserError: no run has been measured yet, or a file is damaged.
    """
    parts = {}
    for cell in cells(study):
        part = load_run(workdir / RUNS / cell.name)
        if part is not None:
            parts[cell.name] = part
    if not parts:
        raise UserError(f"{workdir}: no run of this study has been measured yet")
    places = coordinates(study)
    template = next(iter(parts.values()))
    steps = np.unique(np.concatenate([part.step.values for part in parts.values()]))
    joined = _empty(template, places, steps)
    for cell in cells(study):
        place = {name: label(value) for name, value in cell.coordinates.items()}
        joined["finished"].loc[place] = cell.name in parts and parts[cell.name].attrs["finished"]
        if cell.name in parts:
            _fill(joined, parts[cell.name], place)
    joined = joined.assign_attrs(
        name=study.name,
        question=study.question,
        study=to_json(study),
        **{name: template.attrs[name] for name in ("inputs", "row_tokens")},
        batch=study.run.batch,
        steps=study.run.steps,
    )
    if "gap" not in joined.dims:
        joined = joined.assign_coords(gap=study.run.exposure.gap)
    return with_evidence(joined, workdir / EVIDENCE)


def collect(study: Study, workdir: epath.Path) -> xr.Dataset:
    """Gathers the results of a study and writes them to results.nc; errors as in `gather`."""
    results = gather(study, workdir)
    save(results, workdir / RESULTS)
    return results


def with_evidence(results: xr.Dataset, path: epath.Path) -> xr.Dataset:
    """The results with what `launch.evidence` has measured of their snapshots, if anything."""
    if not path.exists():
        return results
    found = load(path, remedy="run launch.evidence again")
    found = found.drop_vars(["width", "parameters"])  # the results have them
    shared = {name: results[name] for name in found.dims if name in results.dims}
    return results.merge(found.reindex(shared), combine_attrs="override")


def load_run(folder: epath.Path) -> xr.Dataset | None:
    """Metrics of one run with dimensions (size, initialisation, step, ...); None without any."""
    about = read_manifest(folder)
    if about is None:
        return None
    values = metrics.read(folder)
    if not values:
        return None
    steps = values.pop("step")
    sizes = {s["size"]: s for s in about["students"]}
    draws = list(dict.fromkeys(s["initialisation"] for s in about["students"]))
    variables: dict[str, Any] = {}
    for name, array in values.items():
        measure = about["measures"][name]
        students = np.moveaxis(array, 1, 0).reshape(
            len(sizes), len(draws), *array.shape[:1], *array.shape[2:]
        )
        variables[name] = (
            ("size", "initialisation", "step", *measure["dims"]),
            students,
            {"units": measure["unit"], "long_name": measure["meaning"]},
        )
    for name, constant in about["constants"].items():
        variables[name] = (tuple(constant["dims"]), np.asarray(constant["values"], np.float64))
    coordinates = {
        "size": list(sizes),
        "initialisation": draws,
        "step": steps,
        "task": about["tasks"],
        "watch": [about["tasks"][k] for k in about["watch"]],
    }
    used = {dim for dims, *_ in variables.values() for dim in dims}
    labels = {dim: (dim, names) for dim, names in about["labels"].items() if dim in used}
    labels |= {
        name: ("size", [student[name] for student in sizes.values()])
        for name in ("width", "parameters")
    }
    return xr.Dataset(
        variables,
        {name: (name, c) for name, c in coordinates.items() if name in used} | labels,
        {
            "inputs": about["inputs"],
            "row_tokens": about["row_tokens"],
            "finished": about["status"] == "finished",
        },
    )


def coordinates(study: Study) -> dict[str, list[Any]]:
    """Places of the runs of a study: dimension -> its coordinate."""
    grid = {axis.name: [label(value) for value in axis.values] for axis in study.grid}
    return {"stream": list(range(study.streams)), **grid}


def label(value: Any) -> Any:
    """Coordinates are numbers and text; a tuple becomes its text."""
    return str(value) if isinstance(value, tuple) else value


def _empty(template: xr.Dataset, places: dict[str, list[Any]], steps: np.ndarray) -> xr.Dataset:
    """A Dataset of NaN with the variables of one run over all runs."""
    outer = {name: (name, values) for name, values in places.items()}
    sizes: dict[Any, int] = {**template.sizes, "step": len(steps)}
    variables: dict[Any, Any] = {}
    for name, variable in template.data_vars.items():
        leading = tuple(places) if "step" in variable.dims else tuple(places)[1:]
        dims: tuple[Any, ...] = (*leading, *variable.dims)
        shape = [len(places[d]) if d in places else sizes[d] for d in dims]
        variables[name] = (dims, np.full(shape, np.nan, variable.dtype), variable.attrs)
    shape = [len(values) for values in places.values()]
    variables["finished"] = (tuple(places), np.zeros(shape, bool))
    inner = {name: (c.dims, c.values) for name, c in template.coords.items() if name != "step"}
    return xr.Dataset(variables, {**outer, **inner, "step": ("step", steps)})


def _fill(joined: xr.Dataset, part: xr.Dataset, place: dict[str, Any]) -> None:
    at = np.searchsorted(joined.step.values, part.step.values)
    for name, variable in part.data_vars.items():
        own: dict[Any, Any] = {
            dim: joined.get_index(dim).get_loc(value)
            for dim, value in place.items()
            if dim in joined[name].dims
        }
        if "step" in variable.dims:
            own["step"] = at
        joined[name][own] = variable.values
