"""How far a number can be trusted: intervals over independent units.

Students of one stream see the same batches, so they are no independent draws of it. Where a study
has two streams or more, each gives one number, its mean over initialisations, and the interval
covers streams: all that a stream draws anew, which are batches, initial weights and those tasks
that are drawn, unless the study holds some of them. With one stream the initialisations are the
units, and the interval covers these only. One unit gives an estimate and no interval.

How often 95% intervals hold the mean depends on how units scatter. Simulated, in percent, at 3, 5
and 8 units (`tests/evidence/test_intervals.py`); what is below 93 is less than is said of it::

    method       units                                3    5    8
    student_t    normal                              95   95   95
    student_t    exponential                         88   89   90
    student_t    lognormal, sigma 1                  83   82   83
    bounded      uniform                             94   94   94
    bounded      beta(0.5, 5)                        89   87   87
    bounded      20 cells, mean 0.9, counted         99   98   98
    bounded      20 cells, mean 0.99, counted       100  100  100
    bounded      20 cells, mean 0.99, not counted   100  100  100
    bounded      one cell, mean 0.9, counted        100  100  100
    bounded      20 cells, mean 0.9, alike to 0.2    90   86   87
    signed_rank  normal                             100  100   96
    signed_rank  exponential, median of pairs       100  100   96

Cells alike to 0.2 have this correlation within a unit. `signed_rank` is about the median of the
means of pairs of units; below 6 units it has no finite end, which is why it never misses.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray

from rare_retention.evidence.states import UNITS
from rare_retention.theory.checks import Array

CONFIDENCE = 0.95
METHOD = "95% Student's t interval over streams, or over the initialisations of a single one"
BOUNDED = (
    "95% interval within {low:g} to {high:g} over streams, or over the initialisations of a single "
    "one: of Student's t, raw and of arcsine roots, and of the exact one of the counted cells, the "
    "outermost ends; where all units are equal and no cells are counted, by the rule of three"
)
CELLS = "cells"
"""Attribute of a statistic: how many cases, at least, stand behind the share of each unit."""

DRAWN = {"batches": "batches", "weights": "initial weights", "tasks": "tasks"}
"""What each stream draws anew, and how a page calls it."""

Covers = Literal["streams", "initialisations", "none"]

_ROUNDING = 1e-6  # of a number, or of the width between bounds: so far apart is equal in float32
_OUTSIDE = 1e-4  # of the width between bounds: sums of many float32 may stand so far outside
_HALVINGS = 30  # of where a p-value lies


@dataclass(frozen=True)
class Interval:
    """An estimate and where the mean over all possible units lies with 95% confidence.

    Attributes:
        estimate: mean over the units; NaN if there is none.
        low: lower end; NaN without two units.
        high: upper end; NaN without two units.
        units: how many independent numbers it rests on.
        covers: what these units differ in.
        streams: streams behind it.
        initialisations: initialisations behind it.
        missing: streams x initialisations left out because their statistic is NaN.
        censored: units of which only a bound is known; they are in the interval as that.
        alike: all units are equal, but for rounding, of two at least.
    """

    estimate: float
    low: float
    high: float
    units: int
    covers: Covers
    streams: int
    initialisations: int
    missing: int
    censored: int = 0
    alike: bool = False


@dataclass(frozen=True)
class Units:
    """The independent numbers behind an interval.

    Attributes:
        values: one for each unit, float64.
        covers: what the units differ in.
        streams: streams behind them.
        initialisations: initialisations behind them.
        missing: streams x initialisations left out because their statistic is NaN.
    """

    values: Array
    covers: Covers
    streams: int
    initialisations: int
    missing: int

    def interval(self, estimate: float, low: float, high: float, censored: int = 0) -> Interval:
        """An interval over these units."""
        about = self.covers, self.streams, self.initialisations, self.missing
        count = len(self.values)
        alike = count > 1 and bool(np.isclose(self.values, self.values[0], _ROUNDING, 0).all())
        return Interval(estimate, low, high, count, *about, censored, alike)


def student_t(values: xr.DataArray, confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of a statistic, units as the module says.

    Args:
        values: one number for each [stream, initialisation], or with one of the two alone; NaN
            where it is missing.
        confidence: in (0, 1).
    """
    units = units_of(values)
    return units.interval(*_t_interval(units.values, confidence))


def bounded(
    values: xr.DataArray,
    low: float,
    high: float,
    cells: int | None = None,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Interval of the mean of numbers that lie within bounds, of no zero width.

    The outermost of several ends: of Student's t interval of the units, of that of their arcsine
    roots, both cut at the bounds, and of the exact one of the share of cells (Clopper and Pearson
    1934). Cells of one unit that err together make units differ, which widens the first two.
    Without counted cells, equal units leave the rule of three: with confidence 1 - a at least a
    share (a/2)^(1/n) of further units are as these n are, and the others may be anywhere.

    Args:
        values: as for `student_t`, from low to high.
        low: the least possible value.
        high: the greatest.
        cells: how many cases at least stand behind the share of each unit; None: not counted.
        confidence: in (0, 1).

    Raises:
        ValueError: a value lies outside the bounds.
    """
    units = units_of(values)
    if not len(units.values):
        return units.interval(math.nan, math.nan, math.nan)
    shares = (units.values - low) / (high - low)
    if shares.min() < -_OUTSIDE or shares.max() > 1 + _OUTSIDE:
        raise ValueError(f"expected values from {low:g} to {high:g}, got {units.values}")
    shares = shares.clip(0, 1)
    estimate = float(np.mean(shares)) if np.ptp(shares) else float(shares[0])
    ends = [(math.nan, math.nan)]
    if len(shares) > 1:
        ends = [_t_interval(shares, confidence)[1:], _arcsine(shares, confidence)]
        if cells is not None:
            ends.append(_exact(estimate, cells * len(shares), confidence))
        elif np.ptp(shares) <= _ROUNDING:
            alike = ((1 - confidence) / 2) ** (1 / len(shares))
            ends.append((estimate * alike, 1 - (1 - estimate) * alike))
    # Rounding must not put the estimate outside.
    least = max(min(estimate, *(end[0] for end in ends)), 0.0)
    most = min(max(estimate, *(end[1] for end in ends)), 1.0)
    if len(shares) < 2:
        least = most = math.nan
    estimate, least, most = (low + (high - low) * share for share in (estimate, least, most))
    return units.interval(estimate, least, most)


def signed_rank(
    low: xr.DataArray, high: xr.DataArray | None = None, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of the centre of units of which some are only known to lie above or below a number.

    Wilcoxon's signed-rank interval of the median of all means of two units (Hodges and Lehmann
    1963), for units that scatter symmetrically. Raising a unit never lowers an end, so that the
    lower end of the least values that the units may have and the upper end of the greatest hold
    whatever the units are: none is dropped. Fewer than 6 units give no finite end at 95%.

    Args:
        low: the least that each unit may be, as for `student_t`; -inf where nothing is known.
        high: the greatest; the same as `low` by default. NaN where `low` is: a missing unit.
        confidence: in (0, 1).

    Returns:
        The interval; `censored` units are those whose two bounds differ. Its estimate is NaN where
        it depends on what these are.
    """
    least = units_of(low, lambda number: ~np.isnan(number))
    most = units_of(low if high is None else high, lambda number: ~np.isnan(number))
    if len(least.values) != len(most.values):
        raise ValueError("expected bounds of the same units, some have one only")
    censored = int((least.values != most.values).sum())
    if len(least.values) < 2:
        known = len(least.values) and not censored
        only = float(least.values[0]) if known else math.nan
        return least.interval(only, math.nan, math.nan, censored)
    below, above = _walsh(least.values), _walsh(most.values)
    place = _signed_rank_place(len(least.values), confidence)
    ends = (below[place - 1], above[-place]) if place else (-math.inf, math.inf)
    # Of an even number of means the middle two may be -inf and inf.
    middles = [float(np.median(below)), float(np.median(above))]
    estimate = middles[0] if middles[0] == middles[1] else math.nan
    return least.interval(estimate, float(ends[0]), float(ends[1]), censored)


def ratio(above: xr.DataArray, below: xr.DataArray) -> xr.DataArray:
    """Numbers of the units whose mean is the ratio of two means, and that scatter as it does.

    Ratios of single units would let one of them with next to nothing below decide their mean. With
    r = mean(a) / mean(b) these are r + (a - r b) / mean(b), to first order in what units differ by.

    Args:
        above: a [..., stream, initialisation], NaN where it is missing.
        below: b, with the same dimensions.

    Returns:
        As `above`; NaN where either is missing.
    """
    units = [dim for dim in UNITS if dim in above.dims]
    both = above.notnull() & below.notnull()
    mean = below.where(both).mean(units)
    whole = above.where(both).mean(units) / mean
    found: xr.DataArray = whole + (above - whole * below) / mean
    return found.transpose(*above.dims)


def between(least: xr.DataArray, most: xr.DataArray, confidence: float = CONFIDENCE) -> Interval:
    """Interval of units that are known, or known from one side.

    Student's t where all are known, else that of signed ranks; arguments as `signed_rank`.
    """
    known = bool((least == most).where(least.notnull(), other=True).all())
    return student_t(least, confidence) if known else signed_rank(least, most, confidence)


def units_of(
    values: xr.DataArray, known: Callable[[Array], NDArray[np.bool_]] = np.isfinite
) -> Units:
    """The independent units of a statistic, as the module says.

    Args:
        values: one number for each [stream, initialisation], or with one of the two alone.
        known: which of the numbers are not missing.
    """
    table = _table(values)
    there = known(table)
    table = np.where(there, table, np.nan)[there.any(1)]
    covers: Covers = "streams"
    if len(table) > 1:
        units = np.nanmean(table, axis=1)
    else:
        units = table[~np.isnan(table)]
        covers = "initialisations" if len(units) > 1 else "none"
    return Units(units, covers, len(table), int(there.any(0).sum()), int((~there).sum()))


def _t_interval(units: Array, confidence: float) -> tuple[float, float, float]:
    """Mean of the units and the ends of Student's t interval about it, NaN without two units."""
    if not len(units):
        return math.nan, math.nan, math.nan
    if np.ptp(units) == 0:
        # Equal units have no spread at all; rounding must not give them one.
        end = float(units[0]) if len(units) > 1 else math.nan
        return float(units[0]), end, end
    estimate = float(units.mean())
    quantile = float(scipy.stats.t.ppf((1 + confidence) / 2, len(units) - 1))
    half = quantile * float(units.std(ddof=1)) / math.sqrt(len(units))
    return estimate, estimate - half, estimate + half


def _arcsine(shares: Array, confidence: float) -> tuple[float, float]:
    """Ends of Student's t interval of the arcsine roots of shares, as shares."""
    _, low, high = _t_interval(np.arcsin(np.sqrt(shares)), confidence)
    least, most = (math.sin(min(max(end, 0.0), math.pi / 2)) ** 2 for end in (low, high))
    return least, most


def _exact(share: float, cells: int, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's ends for a share of so many cells."""
    seen, tail = share * cells, (1 - confidence) / 2
    low = float(scipy.stats.beta.ppf(tail, seen, cells - seen + 1)) if seen > 0 else 0.0
    high = float(scipy.stats.beta.isf(tail, seen + 1, cells - seen)) if seen < cells else 1.0
    return low, high


def _walsh(values: Array) -> Array:
    """Means of all pairs of values, each with itself too, ascending."""
    first, second = np.triu_indices(len(values))
    with np.errstate(invalid="ignore"):
        means = (values[first] + values[second]) / 2
    return np.sort(means)


def _signed_rank_place(count: int, confidence: float) -> int:
    """Place, from 1, of the mean of pairs at which the interval ends; 0 where none does."""
    ways = np.ones(1)  # of getting each sum of the ranks of the positive units
    for rank in range(1, count + 1):
        longer = np.zeros(len(ways) + rank)
        longer[: len(ways)] += ways
        longer[rank:] += ways
        ways = longer
    tail = np.cumsum(ways) / 2**count
    return int(np.searchsorted(tail, (1 - confidence) / 2, side="right"))


def p_value(found: Interval, threshold: float, confidence: float = CONFIDENCE) -> float:
    """Two-sided p-value of Student's t test that the mean is a threshold, from its interval.

    It is below 1 - confidence exactly where the threshold lies outside the interval.

    Args:
        found: an interval; NaN where it has fewer than two units, or units without spread.
        threshold: in the statistic's units.
        confidence: of the interval.
    """
    if found.units < 2 or not found.high > found.low:
        return math.nan
    distance, degrees = abs(found.estimate - threshold), found.units - 1
    quantile = float(scipy.stats.t.ppf((1 + confidence) / 2, degrees))
    error = (found.high - found.low) / 2 / quantile
    return float(2 * scipy.stats.t.sf(distance / error, degrees))


def p_where(interval: Callable[[float], Interval], threshold: float) -> float:
    """Two-sided p-value of a threshold: 1 - the confidence at which the interval reaches it.

    Args:
        interval: of a confidence; it widens as that grows.
        threshold: in the statistic's units.

    Returns:
        In [0, 1]; NaN without an interval.
    """
    if math.isnan(interval(CONFIDENCE).low):
        return math.nan
    least, most = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        found = interval(1 - middle)
        if found.low <= threshold <= found.high:
            least = middle
        else:
            most = middle
    return (least + most) / 2


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of m tests (Holm 1979): each keeps the error of all m together.

    Args:
        values: p-values; NaN for what was not tested, which counts as no test.
    """
    tested = sorted((value, i) for i, value in enumerate(values) if not math.isnan(value))
    adjusted, largest = [math.nan] * len(values), 0.0
    for rank, (value, i) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * value))
        adjusted[i] = largest
    return adjusted


def differ(covers: Covers, held: Iterable[str] = ()) -> str:
    """What the units of an interval differ in: all that it can cover.

    Args:
        covers: the kind of unit.
        held: parts that all streams have in common, keys of `DRAWN`.
    """
    if covers != "streams":
        return {"initialisations": "initial weights alone", "none": ""}[covers]
    kept = set(held)
    drawn = [name for part, name in DRAWN.items() if part not in kept]
    if len(drawn) < 2:
        return f"{drawn[0]} alone" if drawn else "nothing"
    return f"{', '.join(drawn[:-1])} and {drawn[-1]}"


def _table(values: xr.DataArray) -> np.ndarray:
    """The values as [stream, initialisation], each 1 where the dimension is absent."""
    if other := [str(d) for d in values.dims if d not in UNITS]:
        raise ValueError(f"expected one number for each of {', '.join(UNITS)}, got also {other}")
    absent = [d for d in UNITS if d not in values.dims]
    return values.expand_dims(absent).transpose(*UNITS).to_numpy().astype(np.float64)
