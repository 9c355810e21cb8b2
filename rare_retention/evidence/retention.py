"""What a task gains at an exposure and when it is lost again (Fig. 4, Fig. 8).

The cycle of an exposure goes from the state just before it to the state just before the next one;
the state just after the exposure, at least one step earlier, stands between them. Cycles are found
in each stream by itself, since streams may be exposed at different steps: the i-th measured cycle
of every stream stands at place i along `cycle`.

What a gap leaves is no matter of rises: rise over gain, summed over cycles, is the final level
over the gains, whatever is kept in between. `evidence.control` has the factor that a gap leaves.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rare_retention.evidence import exposures, forgetting, states, text_tasks
from rare_retention.evidence.spans import Cycle, dense_cycles, measured_cycles
from rare_retention.theory.checks import Array, IntArray

LEAST_GAIN = 0.01
"""Rises of what is learned up to this one are no gains: there is nothing to keep or to lose."""

LEARNED = 0.5
"""From the first cycle on that starts at this level, gains are small for want of room to rise."""

EQUAL_GAINS = 1.25
"""Gains per exposed row that differ by less than this factor count as equal."""

_MEANINGS = {
    "before": "value just before the exposure",
    "best": "best value (peak) until the next exposure",
    "next_before": "value just before the next exposure",
    "gain": "improvement from before to peak",
    "lag": "steps from the state just after the exposure to the peak",
    "decay": "loss from the peak to the next exposure",
    "half_life": "steps from the peak until half of the gain is lost",
    "censored": "the half-life is longer: the next exposure comes first",
}
_STEPS = ("lag", "half_life")


def learned(point: xr.Dataset, task: str | None = None) -> xr.DataArray:
    """How much of a watched task is learned, at its measured steps.

    Its signal where the setting has one; of an injected task 1 minus the share of the loss of
    guessing that is left on its training half: 0 for guessing, 1 for knowing, below 0 as long
    as the model does not know which tokens are labels. Both rise as the task is learned.

    Args:
        point: of a study's grid, with `signal`, or with `loss` and `chance`.
        task: its name; the rarest watched one by default.
    """
    task = states.rarest(point) if task is None else task
    if "signal" in point:
        return states.measured(point["signal"].sel(task=task, drop=True))
    loss = states.measured(point["loss"].sel(task=task, drop=True))
    share: xr.DataArray = 1 - loss / text_tasks.guessing(point, task)
    return share.assign_attrs(units="1")


def level(point: xr.Dataset, task: str | None = None) -> xr.DataArray:
    """The level by which gains and what is left of them are compared, at its measured steps.

    Of an injected task that of its answer (`settings.levels`) where it was measured: the loss of a
    small model falls mostly because it finds out which tokens are labels. Else as `learned`.

    Args:
        point: as for `learned`.
        task: as there.
    """
    task = states.rarest(point) if task is None else task
    if "answer" in point:
        answer = point["answer"].sel(task=task, drop=True)
        if answer.notnull().any():
            return states.measured(answer)
    return learned(point, task)


def cycles(
    value: xr.DataArray, shown: xr.DataArray, *, rises: bool = True, least_gain: float = 0.0
) -> xr.Dataset:
    """What each densely measured cycle of one grid point gains and keeps.

    Args:
        value: of a watched task, with a dimension `step`; steps that no student of a stream has do
            not count for it.
        shown: steps of the task's exposures, as from `exposures.of`.
        rises: whether the value rises when the task is learned, as a signal does and a loss does
            not.
        least_gain: gains up to this one, at least 0, are no gains: their `lag` and `half_life`
            are NaN.

    Returns:
        The other dimensions of the value, then `cycle`. `before`, `best` and `next_before` have the
        value's own sign. `gain` is negative where no state of the cycle is better. `lag` is 0 steps
        where the state just after the exposure is the best. `half_life` in steps is interpolated
        linearly between states, and a lower bound where `censored`. `accumulation`, without cycles,
        is the improvement from before the first measured exposure to the end of the last measured
        cycle.
        `exposure` and `start` [stream, cycle] are number and step of the cycle's exposure, NaN
        where a stream has fewer cycles than others: what else is NaN is missing.

    Raises:
        ValueError: no whole cycle was measured.
    """
    parts = [
        _stream_cycles(own, dense_cycles(own["step"].to_numpy(), at), rises, least_gain)
        for own, at in exposures.by_stream(value, shown)
    ]
    if not any(part.sizes["cycle"] for part in parts):
        raise ValueError("no whole cycle between exposures was measured")
    joined = parts[0]
    if "stream" in value.dims:
        along = value["stream"] if "stream" in value.coords else "stream"
        joined = xr.concat(
            parts,
            along,
            data_vars="all",
            coords="minimal",
            compat="override",
            join="outer",
            fill_value={"censored": False},
        )
    dims = [d for d in value.dims if d != "step"]
    return joined.transpose(*dims, "cycle")


def _stream_cycles(
    value: xr.DataArray, found: list[Cycle], rises: bool, least_gain: float
) -> xr.Dataset:
    """`cycles` of one stream, at the steps at which it was measured."""
    present = value.transpose(..., "step")
    sign = 1 if rises else -1
    rising = sign * present.to_numpy()
    steps = present["step"].to_numpy()
    parts = [_cycle(rising, steps, cycle, least_gain) for cycle in found]
    dims = [d for d in present.dims if d != "step"]
    none = np.empty((*rising.shape[:-1], 0))
    data = {
        name: np.stack([part[name] for part in parts], -1) if parts else none for name in _MEANINGS
    }
    accumulation = np.full(rising.shape[:-1], np.nan)
    if found:
        accumulation = data["next_before"][..., -1] - data["before"][..., 0]
    for name in ("before", "best", "next_before"):
        data[name] = sign * data[name]
    data["censored"] = data["censored"].astype(bool)
    numbers = np.array([(c.exposure, c.start, c.length) for c in found], np.float64).reshape(-1, 3)
    return xr.Dataset(
        {
            **{k: ((*dims, "cycle"), v, _attributes(k, value)) for k, v in data.items()},
            "accumulation": (dims, accumulation, {"long_name": "improvement over all cycles"}),
            "exposure": ("cycle", numbers[:, 0], {"units": "1"}),
            "start": ("cycle", numbers[:, 1], {"units": "step"}),
        },
        coords={
            **{k: v for k, v in present.coords.items() if "step" not in v.dims and k != "step"},
            "cycle": np.arange(len(found)),
        },
    )


def learned_cycles(point: xr.Dataset, least: float | None = None) -> xr.Dataset | None:
    """Cycles of what is learned at one grid point; None where no whole one was measured.

    Args:
        point: of a study's grid, as for `learned`, with `exposure_step`.
        least: what is learned counts from here on; None: all of it.
    """
    value = learned(point)
    value = value if least is None else value.clip(min=least)
    return whole_cycles(value, exposures.of(point), least_gain=LEAST_GAIN)


def level_cycles(point: xr.Dataset) -> xr.Dataset | None:
    """As `learned_cycles`, of the `level`."""
    return whole_cycles(level(point), exposures.of(point), least_gain=LEAST_GAIN)


def whole_cycles(
    value: xr.DataArray, shown: xr.DataArray, *, least_gain: float = 0.0
) -> xr.Dataset | None:
    """As `cycles`, of a value that rises; None where no whole cycle was measured."""
    streams = exposures.by_stream(value, shown)
    if not any(measured_cycles(own["step"].to_numpy(), at) for own, at in streams):
        return None
    return cycles(value, shown, least_gain=least_gain)


def through_cycles(
    value: xr.DataArray, shown: xr.DataArray, nth: int | None = None
) -> xr.DataArray | None:
    """Values in the densely measured cycles, by the steps since just before their exposures.

    Args:
        value: with a dimension `step`; steps that no student of a stream has do not count for it.
        shown: steps of the task's exposures, as from `exposures.of`.
        nth: of each stream only this one, or its last where it has no more; None: all.

    Returns:
        [..., cycle, offset]: `offset` is 0 at the state just before the exposure and 1 just after
        it. An offset is there if every cycle that lasts so long was measured at it; values are NaN
        in cycles that end before. Coordinates `start`, step of the exposure, and `length`, steps to
        the next, [stream, cycle]. None without such a cycle.
    """
    streams = []
    for own, at in exposures.by_stream(value, shown):
        found = dense_cycles(own["step"].to_numpy(), at)
        streams.append((own, found if nth is None else found[nth:][:1] or found[-1:]))
    every = [cycle for _, found in streams for cycle in found]
    if not every:
        return None
    offsets = _shared_offsets(every)
    most = max(len(found) for _, found in streams)
    parts = [_aligned(own, found, offsets, most) for own, found in streams]
    joined = parts[0]
    if "stream" in value.dims:
        along = value["stream"] if "stream" in value.coords else "stream"
        joined = xr.concat(
            parts, along, coords=["start", "length"], compat="override", join="exact"
        )
    return joined.transpose(*(d for d in value.dims if d != "step"), "cycle", "offset")


def mean_cycle(each: xr.DataArray) -> xr.DataArray:
    """Mean over the cycles that last so long [..., offset], NaN where one of them is missing.

    Args:
        each: result of `through_cycles`.
    """
    lasts = each["offset"] <= each["length"]
    total = each.where(lasts, 0.0).sum("cycle", skipna=False)
    mean: xr.DataArray = total / lasts.sum("cycle").where(lasts.any("cycle"))
    return mean


def _shared_offsets(every: list[Cycle]) -> IntArray:
    """Offsets at which every cycle that lasts so long was measured, ascending."""
    lengths = np.sort([cycle.length for cycle in every])
    offsets, seen = np.unique(np.concatenate([c.offsets for c in every]), return_counts=True)
    lasting = len(lengths) - np.searchsorted(lengths, offsets)
    return np.asarray(offsets[seen == lasting])


def _aligned(own: xr.DataArray, found: list[Cycle], offsets: IntArray, most: int) -> xr.DataArray:
    """Values of one stream [..., cycle, offset], cycles filled up to as many as `most`."""
    present = own.transpose(..., "step")
    steps, values = present["step"].to_numpy(), present.to_numpy()
    taken = np.full((*values.shape[:-1], most, len(offsets)), np.nan)
    about = np.full((2, most), np.nan)
    for i, cycle in enumerate(found):
        inside = offsets <= cycle.length
        at = np.searchsorted(steps, cycle.start + offsets[inside])
        taken[..., i, inside] = values[..., at]
        about[:, i] = cycle.start, cycle.length
    coords = {k: v for k, v in present.coords.items() if "step" not in v.dims and k != "step"}
    coords |= {"start": ("cycle", about[0]), "length": ("cycle", about[1])}
    coords |= {"cycle": np.arange(most), "offset": offsets}
    dims = [d for d in present.dims if d != "step"]
    return xr.DataArray(taken, coords, (*dims, "cycle", "offset"), own.name, own.attrs)


def not_yet(of: xr.Dataset) -> xr.DataArray:
    """Cycles that start before the task is learned for the first time; bool [..., cycle].

    False where a stream has no such cycle.

    A cycle that happens to start low after others that started high is no such one: among cycles
    chosen by how they start, those chosen low end higher by chance alone.

    Args:
        of: result of `cycles`, of a value that rises from 0 for guessing to 1 for knowing.
    """
    late: xr.DataArray = (of["before"] >= LEARNED).cumsum("cycle") > 0
    return ~late & of["exposure"].notnull()


def whole(of: xr.Dataset) -> xr.DataArray:
    """Whether no cycle of any size is missing, for each stream and initialisation.

    Args:
        of: result of `cycles`.
    """
    there = of["exposure"].notnull()
    return states.complete(of["gain"].where(there, 0.0)) & there.any("cycle")


def before_any(of: xr.Dataset) -> xr.DataArray:
    """Cycles that start before any size has learned the task: the same for all sizes.

    Means over cycles that a size chooses for itself do not compare: one that learns at once would
    be judged by its first cycle, another one by all. Bool [..., cycle], without `size`.

    Args:
        of: as for `not_yet`, with the dimension `size`.
    """
    return not_yet(of).all("size")


def gain_per_row(of: xr.Dataset, rows: xr.DataArray, where: xr.DataArray) -> xr.DataArray:
    """Gain for each row of the task that was shown, over the cycles that count.

    The sum of their gains over that of their rows, so that a large burst counts for as much as it
    shows. Without `cycle`; NaN where no cycle counts or one that does is missing.

    Args:
        of: result of `cycles`.
        rows: of the task at each cycle's exposure, as from `exposures.rows`.
        where: bool, the cycles that count.
    """
    total = of["gain"].where(where, 0.0).sum("cycle", skipna=False)
    shown = rows.where(where, 0.0).sum("cycle")
    gain: xr.DataArray = total / shown.where(where.any("cycle"))
    return gain.rename("gain").assign_attrs(units="per row", long_name="gain per exposed row")


def _cycle(
    learned: Array, steps: IntArray, cycle: Cycle, least_gain: float
) -> dict[str, NDArray[Any]]:
    """Measures of one cycle [...] from values that rise when learned [..., S]."""
    first, exposed = int(np.searchsorted(steps, cycle.start)), cycle.start + 1
    inside, at = learned[..., first + 1 : first + len(cycle.steps)], cycle.steps[1:]
    before = learned[..., first]
    best = np.argmax(inside, axis=-1)
    peak = np.take_along_axis(inside, best[..., None], -1)[..., 0]
    last = inside[..., -1]
    gain = peak - before
    # A state missing inside is the peak to argmax, which makes the gain NaN and not meant.
    meant = gain > max(least_gain, 0.0)
    half_life, lost = forgetting.falls_to(inside, at, best, before + gain / 2)
    return {
        "before": before,
        "best": peak,
        "next_before": last,
        "gain": gain,
        "lag": np.where(meant, at[best] - exposed, np.nan),
        "decay": peak - last,
        "half_life": np.where(meant, half_life, np.nan),
        "censored": meant & ~lost,
    }


def _attributes(name: str, value: xr.DataArray) -> dict[str, str]:
    if name in _STEPS:
        units = "steps"
    else:
        units = "1" if name == "censored" else str(value.attrs.get("units", "1"))
    return {"units": units, "long_name": _MEANINGS[name]}
