"""What figures read from a study's results: labelled grid points, means over runs, what is missing.

States, predictions and cycles come from `rare_retention.evidence`, so that a figure shows the
numbers that a claim is judged by.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from rare_retention.evidence import arms, control, exposures, retention, states
from rare_retention.theory.checks import Array
from rare_retention.wording import plural

_SYMBOLS = {
    "prior_exponent": "β",
    "gap": "gap G",
    "spectrum_exponents": "α",
    "per_token": "frequency f",
}


RARE_VALUES = {"signal": r"rare signal $\tilde{s}_r$", "share": "1 - loss / loss of guessing"}
"""Names of what is learned of the rare task, by kind."""


class Spread(NamedTuple):
    """Mean, least and greatest over the students of one size; NaN where there is none."""

    mean: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray


class Marks(NamedTuple):
    """A `Spread` at one place as arrays that Matplotlib draws [points]."""

    mean: Array
    low: Array
    high: Array

    def bars(self) -> Array:
        """The range as error bars about the mean [2, points]; rounding gives no negative ones."""
        return np.stack([self.mean - self.low, self.high - self.mean]).clip(min=0)


def spread(values: xr.DataArray) -> Spread:
    """Mean and range over streams and initialisations, missing students left out."""
    over = [name for name in states.UNITS if name in values.dims]
    return Spread(values.mean(over), values.min(over), values.max(over))


def at(values: Spread, **place: int | str) -> Marks:
    """The mean and range at one place, such as `size=64`."""
    return Marks(*(np.atleast_1d(part.sel(place).to_numpy()) for part in values))


def points(results: xr.Dataset, keep: Sequence[str] = ()) -> Iterator[tuple[str, xr.Dataset]]:
    """The points of `states.points`, runs that go on included, each with its label.

    Controls are left out, unless nothing else has begun. The label is empty where nothing is
    varied.

    Args:
        results: as in `states.points`.
        keep: as there.
    """
    found = list(states.points(results, keep, unfinished=True))
    shown = [point for point in found if not control.is_control(point)]
    one_arm = bool(shown) and results.sizes.get(control.LEFT_OUT, 0) == 2
    unnamed = (*keep, control.LEFT_OUT) if one_arm else keep
    names = [name for name in states.grid(results) if name not in unnamed]
    for point in shown or found:
        yield ", ".join(_named(n, point[n].item()) for n in names), point


def _named(dimension: str, place: object) -> str:
    """A place of the grid in a label: an arm says by its name what it is."""
    return str(place) if dimension == arms.DIM else f"{symbol(dimension)} = {_shown(place)}"


def mixtures(results: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """The labelled `points` with the tasks of their mixtures alone, for what theory speaks of."""
    return [(label, states.without_shams(point)) for label, point in points(results)]


def controls(results: xr.Dataset) -> dict[tuple[str, ...], xr.Dataset]:
    """The points at which the rarest watched task is left out, by their `place`."""
    found = states.points(results, unfinished=True)
    return {place(point): point for point in found if control.is_control(point)}


def place(point: xr.Dataset) -> tuple[str, ...]:
    """Where a point stands in a study's grid, but for its arm and whether a task is left out."""
    apart = (control.LEFT_OUT, arms.DIM)
    scalar = {str(n): value for n, value in point.coords.items() if not value.dims}
    return tuple(f"{n}={scalar[n].item()}" for n in sorted(scalar) if n not in apart)


def literal(results: xr.Dataset) -> xr.Dataset:
    """Results whose names are drawn as they are: Matplotlib takes what stands between $ for maths.

    Names are those of tasks, sizes, arms and the like, along their dimensions.
    """
    changed = {}
    for name, own in results.coords.items():
        values = own.to_numpy()
        if any(isinstance(value, str) and "$" in value for value in values.ravel().tolist()):
            escaped = [str(value).replace("$", r"\$") for value in values.ravel().tolist()]
            changed[name] = (
                own.dims,
                np.reshape(np.array(escaped, object), values.shape),
                own.attrs,
            )
    return results.assign_coords(changed) if changed else results


def symbol(name: str) -> str:
    """The paper's symbol for a dimension of the grid."""
    return _SYMBOLS.get(name, name.replace("_", " "))


def sizes(results: xr.Dataset) -> list[int | str]:
    """The sizes of a study, from small to large: widths such as 64, or names such as 4M."""
    found: list[int | str] = results["size"].to_numpy().tolist()
    return found


def names(results: xr.Dataset) -> dict[int | str, str]:
    """What each size is called in a figure: its name, such as 4M, or N = 64 for a width."""
    return {size: size if isinstance(size, str) else f"N = {size}" for size in sizes(results)}


def names_by_parameters(results: xr.Dataset) -> dict[int, str]:
    """Number of weights of each size -> what it is called."""
    return dict(
        zip(results["parameters"].to_numpy().tolist(), names(results).values(), strict=True)
    )


def number(results: xr.Dataset, task: str) -> int:
    """Place of a task in the order of frequency, the most frequent is 1."""
    return int(results.get_index("task").get_loc(task)) + 1


def baseline(point: xr.Dataset) -> xr.DataArray:
    """Loss of always predicting the mean target, Tr C_k with C_k the targets' covariance, [task].

    Args:
        point: results at one point of a study's grid, with `frequency` and `spectrum`.
    """
    _, spectra = states.mixture(point)
    return xr.DataArray(spectra.sum(1), {"task": point["task"]}, ("task",))


def normalised_signal(point: xr.Dataset, signal: xr.DataArray) -> xr.DataArray:
    """Signals s~ of students of several sizes, 0 for a random encoder (paper Sec. 3)."""
    chance = point["width"].astype(np.float64) / int(point.attrs["inputs"])
    return (signal - chance) / (1 - chance)


def rare_kind(results: xr.Dataset) -> str:
    """Which of `RARE_VALUES` says what is learned of the rare task."""
    return "signal" if "signal" in results else "share"


def rare_value(point: xr.Dataset) -> xr.DataArray:
    """What is learned of the rarest watched task at all measured steps; signals are normalised."""
    value = retention.learned(point)
    return normalised_signal(point, value) if rare_kind(point) == "signal" else value


def rhythm(point: xr.Dataset) -> str:
    """How many steps apart exposures of the rarest watched task are: `gap G = 400`."""
    apart = exposures.of(point).diff("exposure")
    if apart.isnull().all():
        return ""
    low, high = int(apart.min()), int(apart.max())
    return f"gap G = {low}" if low == high else f"{low} to {high} steps between exposures"


def ended(results: xr.Dataset) -> xr.DataArray:
    """Which students have a loss at the last step measured at their grid point.

    Bool [stream, *grid, size, initialisation]. A student that diverged before is not among them:
    its last good value is not its final one.
    """
    there = results["loss"].notnull().any("task")
    seen = there.any([d for d in there.dims if d not in (*states.grid(results), "step")])
    place = xr.DataArray(np.arange(there.sizes["step"]), dims="step")
    return there.isel(step=(seen * place).max("step"))


def behind(results: xr.Dataset) -> str:
    """How many students stand behind each point, and how many are missing, in a sentence or two."""
    final = ended(results)
    found = final.sum(states.UNITS)
    low, high = int(found.min()), int(found.max())
    number = plural(low, "student") if low == high else f"{low} to {high} students"
    repeats = " × ".join(plural(final.sizes[name], name) for name in states.UNITS)
    text = f"Behind each point: {number} ({repeats})."
    return f"{text} {lost.capitalize()}." if (lost := missing(results)) else text


def missing(results: xr.Dataset) -> str:
    """A note such as `2 of 18 students missing`; empty if there are none."""
    final = ended(results)
    lost = int((~final).sum())
    return f"{lost} of {final.size} students missing" if lost else ""


def note(results: xr.Dataset, text: str) -> str:
    """The line above a legend: what is drawn and, if any are missing, how many students are."""
    return f"{text}; {lost}" if (lost := missing(results)) else text


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
