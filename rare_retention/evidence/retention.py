"""What a task gains at an exposure and how much of it is left at the next (Fig. 4, Fig. 8).

A watched task is shown once in every `gap` steps, at steps t with t % gap == gap - 1. State `step`
has seen the updates 0 .. step - 1, so cycle c starts from the state (c + 1) gap - 1 just before its
exposure, has its exposed state at (c + 1) gap, and ends at (c + 2) gap - 1, just before the next.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rare_retention.evidence import states
from rare_retention.theory.checks import Array, IntArray

_MEANINGS = {
    "before": "value just before the exposure",
    "peak": "best value until the next exposure",
    "next_before": "value just before the next exposure",
    "gain": "improvement from before to peak",
    "lag": "steps from the state just after the exposure to the peak",
    "decay": "loss from the peak to the next exposure",
    "share_kept": "share of the gain that is left at the next exposure",
    "half_life": "steps from the peak until half of the gain is lost",
    "censored": "the half-life is longer: the next exposure comes first",
}
_STEPS = ("lag", "half_life")


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
    """What each measured cycle of one grid point gains and keeps.

    Args:
        value: of a watched task, with a dimension `step`; steps that no student has do not count.
        gap: steps G between exposures, at least 2.
        rises: whether the value rises when the task is learned, as a signal does and a loss does
            not.
        least_gain: gains up to this one, at least 0, are no gains: their `lag`, `share_kept` and
            `half_life` are NaN.

    Returns:
        The other dimensions of the value, then `cycle`. `before`, `peak` and `next_before` have the
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
    numbers = measured_cycles(steps, gap)
    if not numbers.size:
        raise ValueError(f"no whole cycle of gap {gap} was measured")
    sign = 1 if rises else -1
    learned = sign * present.to_numpy()
    parts = [_cycle(learned, steps, gap, int(c), least_gain) for c in numbers]
    dims = [d for d in present.dims if d != "step"]
    data = {name: np.stack([part[name] for part in parts], -1) for name in _MEANINGS}
    accumulation = data["next_before"][..., -1] - data["before"][..., 0]
    for name in ("before", "peak", "next_before"):
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


def share_kept(of: xr.Dataset, where: xr.DataArray | None = None) -> xr.DataArray:
    """Share of all gains that is left at the next exposures: what is kept over what is gained.

    Cycles count by the size of their gains, those without a meaningful gain not at all.

    Args:
        of: result of `cycles`.
        where: bool, the cycles that count; all by default.

    Returns:
        Shares without the dimension `cycle`, NaN where no cycle counts.
    """
    counted = of["share_kept"].notnull()
    if where is not None:
        counted = counted & where
    gain = of["gain"].where(counted).sum("cycle")
    lost = of["decay"].where(counted).sum("cycle")
    return ((gain - lost) / gain.where(gain > 0)).rename("share_kept")


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
        "peak": peak,
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
