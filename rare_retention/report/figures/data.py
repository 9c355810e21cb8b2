"""What figures read from a study's results: grid points, final values, means, the mixture."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rare_retention.theory import utility

Array = NDArray[np.float64]

RUNS = ("stream", "initialisation")
"""The dimensions over which students of one width are repeated."""

_OWN = {*RUNS, "width", "step", "task", "watch", "part", "direction", "neuron"}
_SYMBOLS = {"prior_exponent": "β", "gap": "gap G", "spectrum_exponents": "α"}


class Spread(NamedTuple):
    """Mean, least and greatest over the students of one width; NaN where there is none."""

    mean: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray


def spread(values: xr.DataArray) -> Spread:
    """Mean and range over streams and initialisations, missing students left out."""
    over = [name for name in RUNS if name in values.dims]
    return Spread(values.mean(over), values.min(over), values.max(over))


def bars(values: Spread) -> Array:
    """The range as error bars about the mean, [2, ...]."""
    return np.stack([values.mean - values.low, values.high - values.mean]).astype(np.float64)


def grid(results: xr.Dataset) -> tuple[str, ...]:
    """The dimensions of the grid that the study varied."""
    return tuple(str(name) for name in results["loss"].dims if name not in _OWN)


def points(results: xr.Dataset, keep: Sequence[str] = ()) -> Iterator[tuple[str, xr.Dataset]]:
    """The points of the grid, each with its label ("" if there is one alone).

    Args:
        results: of a study.
        keep: dimensions of the grid that a figure shows within one panel.
    """
    names = [name for name in grid(results) if name not in keep]
    for place in product(*(range(results.sizes[name]) for name in names)):
        chosen = results.isel(dict(zip(names, place, strict=True)))
        yield ", ".join(f"{symbol(n)} = {_shown(chosen[n].item())}" for n in names), chosen


def symbol(name: str) -> str:
    """The paper's symbol for a dimension of the grid."""
    return _SYMBOLS.get(name, name.replace("_", " "))


def at_end(results: xr.Dataset, name: str) -> xr.DataArray:
    """A variable at the last step measured at each grid point, float64.

    A student that diverged before is NaN: its last good value is not its final one.
    """
    values = results[name].astype(np.float64)
    kept = [d for d in values.dims if d in grid(results) or d == "step"]
    seen = values.notnull().any([d for d in values.dims if d not in kept])
    place = xr.DataArray(np.arange(values.sizes["step"]), dims="step")
    return values.isel(step=(seen * place).max("step"))


def measured(results: xr.Dataset, name: str) -> xr.DataArray:
    """A variable at the steps where any student was measured, float64; at all if none ever was."""
    values = results[name].astype(np.float64)
    kept = values.dropna("step", how="all")
    return kept if kept.sizes["step"] else values


def mixture(point: xr.Dataset) -> tuple[Array, Array]:
    """Frequencies pi [K] and spectra lambda [K, d_T] of one grid point."""
    prior, spectra = point["frequency"], point["spectrum"]
    rest = [d for d in {*prior.dims, *spectra.dims} if d not in ("task", "direction")]
    prior = prior.isel({d: 0 for d in rest if d in prior.dims})
    spectra = spectra.isel({d: 0 for d in rest if d in spectra.dims})
    if "task" not in spectra.dims:
        spectra = spectra.expand_dims(task=prior.sizes["task"])
    return (
        prior.to_numpy().astype(np.float64),
        spectra.transpose("task", "direction").to_numpy().astype(np.float64),
    )


def normalised(loss: xr.DataArray, point: xr.Dataset) -> xr.DataArray:
    """Losses over those of the mean predictor, l_k / l_k,baseline."""
    _, spectra = mixture(point)
    return loss / xr.DataArray(spectra.sum(1), dims="task")


def normalised_signal(results: xr.Dataset, signal: xr.DataArray) -> xr.DataArray:
    """Signals s~ of students of several widths, 0 for a random encoder (paper Sec. 3)."""
    widths = results["width"].astype(np.float64)
    chance = widths / int(results.attrs["inputs"])
    return (signal - chance) / (1 - chance)


def rarest(results: xr.Dataset) -> int:
    """The rarest watched task, or the rarest of all where none is watched."""
    watched = results["watch"] if "watch" in results else results["task"]
    return int(watched.max())


def counts(point: xr.Dataset) -> xr.DataArray:
    """Retained features n_k of theory, for each student [stream, width, initialisation, task].

    Where utilities tie at the cut several choices are optimal (Theorem 3): each student gets the
    one nearest its own final losses.
    """
    prior, spectra = mixture(point)
    order = ("stream", "width", "initialisation", "task")
    final = at_end(point, "loss").transpose(*order)
    found = np.empty(final.shape, np.int64)
    for i, width in enumerate(point["width"].to_numpy()):
        rows = _optima(prior, spectra, int(width))
        losses = utility.predicted_loss(spectra, rows)
        far = np.square(final.to_numpy()[:, i, :, None] - losses).sum(-1)
        found[:, i] = rows[np.argmin(np.nan_to_num(far, nan=np.inf), axis=-1)]
    return xr.DataArray(found, coords={d: final[d] for d in order}, dims=order)


def _optima(prior: Array, spectra: Array, width: int) -> NDArray[np.int64]:
    try:
        return utility.optima(prior, spectra, width)
    except ValueError:  # too many to list: all of them are equally good
        return utility.retained(prior, spectra, width)[None]


def behind(results: xr.Dataset) -> str:
    """How many students stand behind each point, and how many are missing, in a sentence or two."""
    final = at_end(results, "loss").notnull().any("task")
    found = final.sum([d for d in RUNS if d in final.dims])
    low, high = int(found.min()), int(found.max())
    number = _plural(low, "student") if low == high else f"{low} to {high} students"
    repeats = " × ".join(_plural(final.sizes.get(name, 1), name) for name in RUNS)
    text = f"Behind each point: {number} ({repeats})."
    return f"{text} {lost.capitalize()}." if (lost := missing(results)) else text


def missing(results: xr.Dataset) -> str:
    """A note such as `2 of 18 students missing`; empty if there are none."""
    final = at_end(results, "loss").notnull().any("task")
    lost = int((~final).sum())
    return f"{lost} of {final.size} students missing" if lost else ""


def note(results: xr.Dataset, text: str) -> str:
    """The line above a legend: what is drawn and, if any are missing, how many students are."""
    return f"{text}; {lost}" if (lost := missing(results)) else text


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
