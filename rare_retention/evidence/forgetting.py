"""How fast a level fades once training goes on without its task, and how much of it stays.

A curve of forgetting is a level above control, by the steps since training went on without the
task. It is described by its own half-life and by a fit of two numbers, in which a share a stays and
the rest has a half-life h::

    level(t) = level(0) (a + (1 - a) 2^(-t/h))

A half-life that is longer than what was measured is censored: its value is a lower bound, and it
stays in every interval as that.
"""

import math

import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray

from rare_retention.evidence import intervals
from rare_retention.evidence.intervals import Interval
from rare_retention.theory.checks import Array, IntArray

LEAST_HELD = 0.05
"""A level that starts below this one above its control has nothing to forget."""

LEAST_FADING = 0.05
"""Where less than this share fades, what fades has no half-life that could be told."""

MISSING, NOTHING = "a state is missing", "nothing was held at the start"

_LEAST = 1e-9  # steps, for a logarithm
_LONGEST = 100  # times the measured steps: fits of half-lives end there
_NUMBERS = ("start", "half_life", "mean_kept", "fading", "asymptote")


def curves(level: xr.DataArray, within: float | None = None) -> xr.Dataset:
    """Half-lives, what stays, and what is kept on average, of curves of forgetting.

    Args:
        level: above control [..., step], steps ascending from the state at which training went on
            without the task; at least 4 of them.
        within: steps over which the mean is taken, such as the gap; all by default.

    Returns:
        Without `step`: `start`, the level at the first state; `half_life`, steps until the curve
        first has half of it, interpolated linearly; `mean_kept`, the mean over `within` steps of
        the level as a share of the start (restricted mean); `fading` and `asymptote`, the half-life
        of what fades and the share that stays, by least squares. `censored` and `fading_censored`
        say which half-lives are longer than the measured steps, which is then their value; no
        asymptote is told where what fades is censored, unless nothing does. `reason` says why
        numbers are NaN: `MISSING` or `NOTHING`, else it is empty.

    Raises:
        ValueError: too few steps, or `within` is not among those that were measured.
    """
    steps = level["step"].to_numpy().astype(np.float64)
    since = steps - steps[:1]
    if len(since) < 4:
        raise ValueError(f"expected a curve of at least 4 states, got {len(since)}")
    gap = float(since[-1] if within is None else within)
    if not 0 < gap <= since[-1]:
        raise ValueError(f"expected a mean over up to {since[-1]:g} steps, got {gap:g}")
    rows = level.transpose(..., "step").to_numpy().astype(np.float64)
    lead = rows.shape[:-1]
    parts = [_curve(row, since, gap) for row in rows.reshape(-1, len(since))]
    dims = [d for d in level.dims if d != "step"]
    data = {name: (dims, np.reshape([part[name] for part in parts], lead)) for name in parts[0]}
    coords = {k: v for k, v in level.coords.items() if "step" not in v.dims and k != "step"}
    found = xr.Dataset(data, coords)
    for name in _NUMBERS:
        steps_of = name in ("half_life", "fading")
        units = str(level.attrs.get("units", "1")) if name == "start" else "1"
        found[name].attrs["units"] = "steps" if steps_of else units
    return found


def _curve(level: Array, since: Array, gap: float) -> dict[str, float | bool | str]:
    reason = MISSING if np.isnan(level).any() else NOTHING if level[0] < LEAST_HELD else ""
    none: dict[str, float | bool | str] = dict.fromkeys(_NUMBERS, math.nan)
    none |= {"start": float(level[0]), "censored": False, "fading_censored": False}
    if reason:
        return none | {"reason": reason}
    share = level / level[0]
    half, met = falls_to(share, since, np.array(0), np.array(0.5))
    at = np.append(since[since < gap], gap)
    mean = scipy.integrate.trapezoid(np.interp(at, since, share), at) / gap
    fading, stays, beyond = _fit(share, since)
    return none | {
        "half_life": float(half),
        "censored": not met,
        "mean_kept": float(mean),
        "fading": fading,
        "asymptote": stays,
        "fading_censored": beyond,
        "reason": "",
    }


def _fit(share: Array, since: Array) -> tuple[float, float, bool]:
    """Half-life of what fades and the share that stays; whether the former is a lower bound."""
    longest = since[-1]

    def misses(guess: Array) -> Array:
        left = 2.0 ** (-since / np.exp(guess[0]))
        return np.asarray(guess[1] + (1 - guess[1]) * left - share)

    limits = ([math.log(since[1] / 10), 0.0], [math.log(_LONGEST * longest), 1.0])
    stays = float(np.clip(share[-1], 0.05, 0.95))
    starts = [(math.log(part * longest), a) for part in (0.03, 0.2, 1) for a in (stays, 0.05)]
    fits = [scipy.optimize.least_squares(misses, start, bounds=limits) for start in starts]
    best = min(fits, key=lambda fit: float(fit.cost))
    half, stays = float(np.exp(best.x[0])), float(best.x[1])
    if 1 - stays < LEAST_FADING:
        return longest, stays, True
    # Of a fall that is still straight at the end, half-life and asymptote cannot be told apart.
    return (longest, math.nan, True) if half > longest else (half, stays, False)


def falls_to(
    values: Array, steps: IntArray | Array, start: IntArray, level: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Steps from a start until values first fall to a level, and whether they do.

    Args:
        values: [..., S].
        steps: of the values [S], ascending.
        start: index of the start [...].
        level: to be met [...].

    Returns:
        Interpolated linearly; from the start to the last state where the level is not met.
    """
    place = np.arange(len(steps))
    fallen = (place > start[..., None]) & (values <= level[..., None])
    met = np.asarray(fallen.any(-1))
    # Where nothing has fallen, index 1 only keeps the arithmetic within bounds.
    after = np.where(met, np.argmax(fallen, axis=-1), 1)
    above = np.take_along_axis(values, after[..., None] - 1, -1)[..., 0]
    below = np.take_along_axis(values, after[..., None], -1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = (above - level) / (above - below)
    at = steps[after - 1] + part * (steps[after] - steps[after - 1])
    return np.where(met, at, steps[-1]) - steps[start], met


def of_cycles(of: xr.Dataset, where: xr.DataArray | None = None) -> xr.Dataset:
    """Median half-life over the cycles of each student, as if no cycle had ended before it.

    Args:
        of: result of `retention.cycles`.
        where: bool, the cycles that count; all by default.

    Returns:
        `half_life` in steps, NaN without a gain, and `censored`: the half-lives from the middle
        one on are longer than their cycles, and the median of what was seen is a lower bound.
    """
    counted = of["half_life"].notnull()
    if where is not None:
        counted = counted & where
    steps = of["half_life"].where(counted)
    longer = steps.where(~of["censored"], np.inf).where(counted)
    middle = longer.median("cycle")
    beyond = np.isinf(middle)
    seen = steps.median("cycle")
    return xr.Dataset({"half_life": middle.where(~beyond, seen), "censored": beyond})


def life_interval(of: xr.Dataset, name: str = "half_life", flag: str = "censored") -> Interval:
    """Interval of the half-lives of one size in steps: Student's t of their log2.

    The mean of numbers cut at a bound is no larger than their mean, so that the lower end stays one
    where some are censored; the upper end is infinite there, the estimate a lower bound, and
    `censored` counts them. Where all are, nothing is known: 0 to infinity.

    Args:
        of: result of `curves` or `of_cycles`, over units alone.
        name: of the half-lives.
        flag: of what says which are lower bounds.
    """
    units = intervals.units_of(of[name])
    beyond = intervals.units_of(of[flag].astype(np.float64).where(of[name].notnull())).values > 0
    count = int(beyond.sum())
    if (of[name] == 0).any():  # a peak in the last state: all that is known is that it fades later
        return units.interval(0.0, 0.0, math.inf, count)
    found = intervals.student_t(_log2(of[name]))
    ends = np.array([found.low, found.high])
    if count and found.units > 1:
        ends = np.array([-np.inf if count == found.units else found.low, np.inf])
    low, high = (float(end) for end in 2.0**ends)
    return units.interval(2.0**found.estimate, low, high, count)


def ratios(small: xr.Dataset, large: xr.Dataset) -> xr.Dataset:
    """The least and the greatest value of log2 of the ratio of half-lives, large over small.

    Both are the ratio where no half-life is censored. Of a large one that is censored the ratio is
    that large at least, of a small one that small at most.

    Args:
        small: `half_life` and `censored` over units alone.
        large: the same of the larger size.

    Returns:
        `least` and `most` of each unit, for `intervals.between`.
    """
    there = small["half_life"].notnull() & large["half_life"].notnull()
    # A peak in the last state leaves a bound of 0 steps: as good as none, and without a logarithm.
    ratio = _log2(large["half_life"].clip(_LEAST)) - _log2(small["half_life"].clip(_LEAST))
    least = ratio.where(~small["censored"], -np.inf).where(there)
    most = ratio.where(~large["censored"], np.inf).where(there)
    return xr.Dataset({"least": least, "most": most})


def compare(small: xr.Dataset, large: xr.Dataset) -> Interval:
    """Interval of log2 of the ratio of half-lives, paired by unit; arguments as `ratios`."""
    found = ratios(small, large)
    return intervals.between(found["least"], found["most"])


def _log2(values: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = xr.apply_ufunc(np.log2, values)
    return found
