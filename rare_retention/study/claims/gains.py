"""Claims on rare tasks: what the gap costs, how the task builds up, when it peaks.

None of them speaks for one account of why larger students end with more: what a student holds in
the end is made of room, gains and what is kept alike, and what a longer gap costs at the same
frequency hangs on the optimizer (Adam's normalisation and clipping cap what one burst writes) as
much as on forgetting. `forgetting` has those that tell them apart.

What is learned of a task is its signal or, of one that is injected into text, 1 minus the share of
the loss of guessing that is left (`evidence.retention.learned`).
"""

import math

import numpy as np
import xarray as xr

from rare_retention.evidence import exposures, retention, states
from rare_retention.evidence.retention import LEAST_GAIN
from rare_retention.study.claims.claim import (
    Claim,
    NotTested,
    over_points,
    require,
    require_sizes,
)

OPTIMIZER, ADAMW, DESCENT = "optimizer", "adamw", "sgd"
"""Dimension of a study's grid along which the optimizer varies, and two of its places: AdamW and
gradient descent without clipping."""

LEAST_HELD = 0.05
"""Students whose mean signal is below this one hold nothing that a longer gap could take."""


def _slope(results: xr.Dataset) -> xr.DataArray:
    require(results, "signal", "watch")
    require_sizes(results)

    def slope(point: xr.Dataset) -> xr.DataArray:
        rare = _rare_by_gap(point)
        doublings = np.log2(rare["gap"].astype(np.float64))
        centred = doublings - doublings.mean()
        narrow = _narrower_half(rare).mean("size", skipna=False)
        fitted: xr.DataArray = (narrow * centred).sum("gap", skipna=False) / (centred**2).sum()
        return fitted.where(narrow.max("gap") >= LEAST_HELD)

    return over_points(results, slope, "gap").mean("point", skipna=False)


def _relative_falls(results: xr.Dataset) -> xr.DataArray:
    require(results, "signal", "watch")
    require_sizes(results)

    def difference(point: xr.Dataset) -> xr.DataArray:
        rare = _rare_by_gap(point).sortby("gap")
        narrow = _narrower_half(rare).mean("size", skipna=False)
        return _fall(narrow) - _fall(_widest(rare))

    return over_points(results, difference, "gap").mean("point", skipna=False)


def _adamw_over_descent(results: xr.Dataset) -> xr.DataArray:
    require(results, "signal", "watch")
    places = results[OPTIMIZER].to_numpy().tolist() if OPTIMIZER in results.dims else []
    if not {ADAMW, DESCENT} <= set(places):
        raise NotTested(
            f"the study has no axis with the dimension {OPTIMIZER!r} and the names {ADAMW!r} and "
            f"{DESCENT!r}"
        )

    def fall(arm: xr.Dataset) -> xr.DataArray:
        return _fall(_narrowest(_rare_by_gap(arm).sortby("gap")))

    def difference(point: xr.Dataset) -> xr.DataArray:
        adamw, descent = (fall(point.sel({OPTIMIZER: own}, drop=True)) for own in (ADAMW, DESCENT))
        return adamw - descent

    return over_points(results, difference, "gap", OPTIMIZER).mean("point", skipna=False)


def _frequent_range(results: xr.Dataset) -> xr.DataArray:
    require(results, "signal")

    def largest(point: xr.Dataset) -> xr.DataArray:
        frequent = _by_gap(point, point["task"][0].item())
        span = frequent.max("gap", skipna=False) - frequent.min("gap", skipna=False)
        greatest: xr.DataArray = span.max("size", skipna=False)
        return greatest

    return over_points(results, largest, "gap").max("point", skipna=False)


def _accumulation(results: xr.Dataset) -> xr.DataArray:
    require_sizes(results)

    def difference(point: xr.Dataset) -> xr.DataArray:
        gathered = _cycles(point, least=0.0)["accumulation"]
        return _widest(gathered) - _narrowest(gathered)

    return over_points(results, difference).mean("point", skipna=False)


def _lag(results: xr.Dataset) -> xr.DataArray:
    def peaks(point: xr.Dataset) -> xr.DataArray:
        found = _cycles(point)
        # Where nothing is lost again, the greatest value is the end of a rise, not a peak.
        return found["lag"].where(found["decay"] > LEAST_GAIN)

    lags = over_points(results, peaks)
    whole = over_points(results, _whole).all("point")
    return lags.median(("point", "size", "cycle"), skipna=True).where(whole)


def _cycles(point: xr.Dataset, least: float | None = None) -> xr.Dataset:
    """Cycles of what is learned of the rarest watched task at one grid point.

    Args:
        point: of the grid.
        least: what is learned counts from here on.
    """
    require(point, "watch")
    if "signal" not in point:
        require(point, "loss", "chance")
    require(point, "exposure_step")
    found = retention.learned_cycles(point, least)
    if found is None:
        raise NotTested("no whole cycle between exposures was measured")
    return found


def _whole(point: xr.Dataset) -> xr.DataArray:
    """Whether no cycle of any size is missing for a stream and initialisation."""
    return retention.whole(_cycles(point))


def _rare_by_gap(point: xr.Dataset) -> xr.DataArray:
    return _by_gap(point, states.rarest(point))


def _by_gap(results: xr.Dataset, task: str) -> xr.DataArray:
    """Signals of a task just before the rarest one's last exposure so measured, by `gap`."""
    if "gap" not in results.dims:
        raise NotTested("the study does not vary the gap")
    require(results, "exposure_step")
    found = {}
    for point in states.points(results):
        gap = int(point["gap"])
        held = exposures.before_last(_signal(point, task), exposures.of(point))
        if held is None:
            raise NotTested(f"at gap {gap} no state just before an exposure was measured")
        found[gap] = held.reset_coords(drop=True)
    if len(found) < 2:
        raise NotTested("fewer than two gaps have a finished run")
    gaps = xr.DataArray(list(found), dims="gap", name="gap")
    return xr.concat(found.values(), gaps, coords="minimal", compat="override", join="exact")


def _signal(point: xr.Dataset, task: str) -> xr.DataArray:
    return point["signal"].sel(task=task, drop=True)


def _narrower_half(values: xr.DataArray) -> xr.DataArray:
    """The narrower half of the sizes, the middle one included, of at least two."""
    return values.isel(size=slice(math.ceil(values.sizes["size"] / 2)))


def _narrowest(values: xr.DataArray) -> xr.DataArray:
    return values.isel(size=0, drop=True)


def _widest(values: xr.DataArray) -> xr.DataArray:
    return values.isel(size=-1, drop=True)


def _fall(signal: xr.DataArray) -> xr.DataArray:
    """Relative fall from the shortest to the longest gap; NaN where there is nothing to fall."""
    short, long = signal.isel(gap=0, drop=True), signal.isel(gap=-1, drop=True)
    return 1 - long / short.where(short >= LEAST_HELD)


CLAIMS = (
    Claim(
        name="gap_lowers_rare_signal",
        statement="At the same long-run frequency, a narrow student holds less of the rare task "
        "the longer it is withheld.",
        source="Fig. 4b",
        statistic="Slope against log2 of the gap of the rarest watched task's signal, just before "
        "the last measured exposure, mean over the narrower half of the widths; these must hold "
        "0.05 at some gap.",
        relation="<",
        threshold=0.0,
        compute=_slope,
        account="none",
        against="The rare signal of narrow students is as high at long gaps as at short ones, "
        "or higher.",
    ),
    Claim(
        name="gap_costs_narrow_more",
        statement="The longer gap costs narrow students more of the rare task than wide ones.",
        source="Fig. 4b",
        statistic="Relative fall of the rarest watched task's signal from the shortest gap to the "
        "longest, just before the last measured exposure: narrower half of the widths minus "
        "widest. At the shortest gap both must hold 0.05.",
        relation=">",
        threshold=0.0,
        compute=_relative_falls,
        account="none",
        against="From the shortest gap to the longest wide students lose as large a part of the "
        "rare signal.",
    ),
    Claim(
        name="gap_costs_adamw_more",
        statement="The longer gap costs a narrow student more of the rare task under AdamW than "
        "under gradient descent without clipping.",
        source="our own",
        statistic="Relative fall of the rarest watched task's signal from the shortest gap to the "
        "longest, just before the last measured exposure, at the narrowest width: under AdamW "
        "minus under gradient descent. At the shortest gap both must hold 0.05.",
        relation=">",
        threshold=0.2,
        compute=_adamw_over_descent,
        account="none",
        against="What a gap costs at the same frequency is the same under both, so that it tells "
        "of forgetting and not of how much one burst can write.",
    ),
    Claim(
        name="frequent_signal_ignores_gap",
        statement="The gap of the rare task does not touch the most frequent one.",
        source="Fig. 4b",
        statistic="Range over gaps of the most frequent task's signal, just before the last "
        "measured exposure, at the width where it is largest.",
        relation="<=",
        threshold=0.05,
        compute=_frequent_range,
        account="none",
        against="The most frequent task moves with the rare one's gap, so that gaps differ in "
        "more than when the rare task is shown.",
        bounds=(0, 1),
    ),
    Claim(
        name="wide_accumulates",
        statement="A wide student builds up more of the rare task over exposures than a "
        "narrow one.",
        source="Figs. 4a, 16a, 20",
        statistic="Rise of what is learned of the rarest watched task (its signal, or 1 - loss / "
        "loss of guessing where that is above 0) from before the first measured exposure to the "
        "end of the last measured cycle: widest minus narrowest, mean over gaps.",
        relation=">",
        threshold=0.2,
        compute=_accumulation,
        account="none",
        against="The narrow student has as much of the rare task at the end of the last "
        "measured cycle.",
    ),
    Claim(
        name="peak_lags_exposure",
        statement="With AdamW what is learned peaks after the exposure, not at it.",
        source="Fig. 4a",
        statistic="Median over widths, cycles and gaps of the steps from the state just after an "
        "exposure to the peak of what is learned of the rarest watched task (its signal, or 1 - "
        "loss / loss of guessing), in cycles that gain more than 0.01 and lose more than 0.01 "
        "again.",
        relation=">=",
        threshold=1.0,
        compute=_lag,
        account="none",
        against="What is learned is highest right after the exposure and only falls from there.",
    ),
)
