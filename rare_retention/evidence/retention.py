"""What a task gains at an exposure and how much of it is left at the next (Fig. 4, Fig. 8).

A watched task is shown once in every `gap` steps, at steps t with t % gap == gap - 1. State `step`
has seen the updates 0 .. step - 1, so cycle c starts from the state (c + 1) gap - 1 just before its
exposure, has its exposed state at (c + 1) gap, and ends at (c + 2) gap - 1, just before the next.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rare_retention.evidence import intervals, language, states
from rare_retention.evidence.intervals import Interval
from rare_retention.theory.checks import Array, IntArray

LEAST_GAIN = 0.01
"""Rises of what is learned up to this one are no gains: there is nothing to keep or to lose."""

LEARNED = 0.5
"""From the first cycle on that starts at this level, cycles do not tell what is kept."""

EQUAL_GAINS = 1.25
"""Mean gains that differ by less than this factor count as equal."""

_DENSE = 0.8  # of the measurements of the most densely measured cycle

_MEANINGS = {
    "before": "value just before the exposure",
    "best": "best value (peak) until the next exposure",
    "next_before": "value just before the next exposure",
    "gain": "improvement from before to peak",
    "lag": "steps from the state just after the exposure to the peak",
    "decay": "loss from the peak to the next exposure",
    "share_kept": "share of the gain that is left at the next exposure",
    "half_life": "steps from the peak until half of the gain is lost",
    "censored": "the half-life is longer: the next exposure comes first",
}
_STEPS = ("lag", "half_life")


def learned(point: xr.Dataset) -> xr.DataArray:
    """How much of the rarest watched task is learned, at its measured steps.

    Its signal where the setting has one; of an injected task 1 minus the share of the loss of
    guessing that is left on its training half: 0 for guessing, 1 for knowing, below 0 as long
    as the model does not know which tokens are labels. Both rise as the task is learned.

    Args:
        point: of a study's grid, with `signal`, or with `loss` and `chance`.
    """
    task = states.rarest(point)
    if "signal" in point:
        return states.measured(point["signal"].sel(task=task, drop=True))
    loss = states.measured(point["loss"].sel(task=task, drop=True))
    share: xr.DataArray = 1 - loss / language.guessing(point, task)
    return share.assign_attrs(units="1")


def measured_cycles(steps: ArrayLike, gap: int) -> IntArray:
    """Numbers c of the cycles whose first, exposed and last state are among `steps`, ascending.

    Args:
        steps: steps of the measured states.
        gap: G >= 2.
    """
    if gap < 2:
        raise ValueError(f"gap must be at least 2 for a cycle to have an inside, got {gap}")
    found = np.asarray(steps, np.int64)
    before = np.unique(found[found % gap == gap - 1])
    whole = np.isin(before + 1, found) & np.isin(before + gap, found)
    return (before[whole] + 1) // gap - 1


def cycles(
    value: xr.DataArray, gap: int, *, rises: bool = True, least_gain: float = 0.0
) -> xr.Dataset:
    """What each densely measured cycle of one grid point gains and keeps.

    Of a cycle of which regular measurements show the ends and little else, the peak is not known.

    Args:
        value: of a watched task, with a dimension `step`; steps that no student has do not count.
        gap: steps G between exposures, at least 2.
        rises: whether the value rises when the task is learned, as a signal does and a loss does
            not.
        least_gain: gains up to this one, at least 0, are no gains: their `lag`, `share_kept` and
            `half_life` are NaN.

    Returns:
        The other dimensions of the value, then `cycle`. `before`, `best` and `next_before` have the
        value's own sign. `gain` is negative where no state of the gap is better, `share_kept` where
        more than the gain is lost by the next exposure. `lag` is 0 steps where the state just after
        the exposure is the best. `half_life` in steps is interpolated linearly between states, and
        a lower bound where `censored`. `accumulation`, without cycles, is the improvement from
        before the first measured exposure to the end of the last measured cycle.

    Raises:
        ValueError: no whole cycle was measured.
    """
    present = states.measured(value).transpose(..., "step")
    steps = present["step"].to_numpy()
    numbers = [int(cycle[0] + 1) // gap - 1 for cycle in dense_cycles(steps, gap)]
    if not numbers:
        raise ValueError(f"no whole cycle of gap {gap} was measured")
    sign = 1 if rises else -1
    rising = sign * present.to_numpy()
    parts = [_cycle(rising, steps, gap, number, least_gain) for number in numbers]
    dims = [d for d in present.dims if d != "step"]
    data = {name: np.stack([part[name] for part in parts], -1) for name in _MEANINGS}
    accumulation = data["next_before"][..., -1] - data["before"][..., 0]
    for name in ("before", "best", "next_before"):
        data[name] = sign * data[name]
    return xr.Dataset(
        {
            **{k: ((*dims, "cycle"), v, _attributes(k, value)) for k, v in data.items()},
            "accumulation": (dims, accumulation, {"long_name": "improvement over all cycles"}),
        },
        coords={
            **{k: v for k, v in present.coords.items() if "step" not in v.dims and k != "step"},
            "cycle": numbers,
        },
    )


def learned_cycles(point: xr.Dataset, least: float | None = None) -> xr.Dataset | None:
    """Cycles of what is learned at one grid point; None where no whole one was measured.

    Args:
        point: of a study's grid, as for `learned`.
        least: what is learned counts from here on; None: all of it.
    """
    value, gap = learned(point), states.gap(point)
    if gap < 2 or not measured_cycles(value["step"], gap).size:
        return None
    return cycles(value if least is None else value.clip(min=least), gap, least_gain=LEAST_GAIN)


def dense_cycles(steps: IntArray, gap: int) -> list[IntArray]:
    """Measured steps of the densely measured cycles, oldest first.

    Args:
        steps: measured steps, ascending.
        gap: steps G between exposures; 1 has no cycles.

    Returns:
        For each from the state just before an exposure to the one just before the next.
    """
    before = (measured_cycles(steps, gap) + 1) * gap - 1 if gap > 1 else steps[:0]
    found = [steps[(steps >= s) & (steps <= s + gap)] for s in before]
    most = max(map(len, found), default=0)
    return [cycle for cycle in found if len(cycle) >= _DENSE * most]


def through_cycles(value: xr.DataArray, gap: int) -> xr.DataArray | None:
    """Values in the densely measured cycles, at the offsets that all these have in common.

    Args:
        value: with a dimension `step`; steps that no student has do not count.
        gap: steps G between exposures.

    Returns:
        [..., cycle, offset]: `offset` is 0 at the state just before the exposure, 1 just after it,
        G just before the next. None without such a cycle.
    """
    present = states.measured(value)
    found = dense_cycles(present["step"].to_numpy(), gap)
    if not found:
        return None
    shared = set.intersection(*(set((cycle - cycle[0]).tolist()) for cycle in found))
    offset = xr.DataArray(sorted(shared), dims="offset", name="offset")
    starts = xr.DataArray([int(cycle[0]) for cycle in found], dims="cycle")
    taken: xr.DataArray = present.sel(step=starts + offset).drop_vars("step")
    taken = taken.assign_coords(cycle=(starts + 1) // gap - 1, offset=offset)
    return taken.transpose(..., "cycle", "offset")


def in_second_half(cycle: xr.DataArray, gap: int, last: int) -> xr.DataArray:
    """Whether cycles start in the second half of training; bool [cycle].

    Args:
        cycle: their numbers.
        gap: steps G between exposures.
        last: step of the last state.
    """
    return (cycle + 1) * gap - 1 >= last / 2


def not_yet(of: xr.Dataset) -> xr.DataArray:
    """Cycles that start before the task is learned for the first time; bool [..., cycle].

    A cycle that happens to start low after others that started high is no such one: among cycles
    chosen by how they start, those chosen low end higher by chance alone.

    Args:
        of: result of `cycles`, of a value that rises from 0 for guessing to 1 for knowing.
    """
    late: xr.DataArray = (of["before"] >= LEARNED).cumsum("cycle") > 0
    return ~late


def share_kept(of: xr.Dataset, where: xr.DataArray | None = None) -> xr.DataArray:
    """Share of the gains that is kept: the rise per cycle over the gain per cycle.

    The rise is that from before the first counted cycle to the end of the last, through cycles that
    were not measured too. Means over shares of single cycles would not do: a start that happens to
    be low makes a gain that happens to be large and seems to be kept.

    Args:
        of: result of `cycles`, of a value that rises as the task is learned.
        where: bool, the cycles that count; all by default.

    Returns:
        Shares without the dimension `cycle`, NaN where no counted cycle has a meaningful gain or
        one is missing.
    """
    counted = xr.ones_like(of["gain"], bool) if where is None else where
    numbers = of["cycle"].where(counted)
    first, last = numbers.min("cycle"), numbers.max("cycle")
    start = of["before"].where(numbers == first).sum("cycle", min_count=1)
    end = of["next_before"].where(numbers == last).sum("cycle", min_count=1)
    meant = of["share_kept"].where(counted).notnull().any("cycle")
    share: xr.DataArray = (end - start) / (last - first + 1) / mean_gain(of, counted)
    return share.where(meant).rename("share_kept")


def mean_gain(of: xr.Dataset, where: xr.DataArray) -> xr.DataArray:
    """Gain per cycle over the cycles that count, without `cycle`; NaN where one is missing."""
    total = of["gain"].where(where, 0.0).sum("cycle", skipna=False)
    gain: xr.DataArray = total / where.sum("cycle").where(where.any("cycle"))
    return gain.rename("gain")


def half_life(of: xr.Dataset, where: xr.DataArray | None = None) -> xr.Dataset:
    """Median half-life over the cycles of each student, as if no cycle had ended before it.

    Args:
        of: result of `cycles`.
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


def half_life_interval(of: xr.Dataset) -> Interval:
    """Student's t interval of the half-lives of one size, in steps.

    Args:
        of: result of `half_life`, over units alone.

    Returns:
        The interval; its upper end is infinite where a student's half-life is censored: the
        estimate is a lower bound then.
    """
    found = intervals.student_t(of["half_life"])
    return dataclasses.replace(found, high=math.inf) if of["censored"].any() else found


def _cycle(
    learned: Array, steps: IntArray, gap: int, number: int, least_gain: float
) -> dict[str, NDArray[Any]]:
    """Measures of one cycle [...] from values that rise when learned [..., S]."""
    exposed = (number + 1) * gap
    first, start, stop = np.searchsorted(steps, [exposed - 1, exposed, exposed + gap]).tolist()
    before, inside, at = learned[..., first], learned[..., start:stop], steps[start:stop]
    best = np.argmax(inside, axis=-1)
    peak = np.take_along_axis(inside, best[..., None], -1)[..., 0]
    last = inside[..., -1]
    gain = peak - before
    # A state missing inside is the peak to argmax, which makes the gain NaN and not meant.
    meant = gain > max(least_gain, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = (last - before) / gain
    half_life, lost = _half_life(inside, at, best, before + gain / 2)
    return {
        "before": before,
        "best": peak,
        "next_before": last,
        "gain": gain,
        "lag": np.where(meant, at[best] - exposed, np.nan),
        "decay": peak - last,
        "share_kept": np.where(meant, kept, np.nan),
        "half_life": np.where(meant, half_life, np.nan),
        "censored": meant & ~lost,
    }


def _half_life(
    inside: Array, at: IntArray, best: IntArray, level: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Steps from the peak to the level, or to the last state; and whether the level was met."""
    place = np.arange(len(at))
    fallen = (place > best[..., None]) & (inside <= level[..., None])
    lost = np.asarray(fallen.any(-1))
    # Where nothing has fallen, index 1 only keeps the arithmetic within bounds.
    after = np.where(lost, np.argmax(fallen, axis=-1), 1)
    above = np.take_along_axis(inside, after[..., None] - 1, -1)[..., 0]
    below = np.take_along_axis(inside, after[..., None], -1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = (above - level) / (above - below)
    met = at[after - 1] + part * (at[after] - at[after - 1])
    return np.where(lost, met, at[-1]) - at[best], lost


def _attributes(name: str, value: xr.DataArray) -> dict[str, str]:
    if name in _STEPS:
        units = "steps"
    else:
        units = "1" if name in ("share_kept", "censored") else str(value.attrs.get("units", "1"))
    return {"units": units, "long_name": _MEANINGS[name]}
