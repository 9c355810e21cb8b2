"""How far a number can be trusted: Student's t interval over independent units.

Students of one stream see the same batches, so they are no independent draws of it. Where a study
has two streams or more, each gives one number, its mean over initialisations, and the interval
covers streams: all that a stream draws anew, which are batches, initial weights and those tasks
that are drawn, unless the study holds some of them. With one stream the initialisations are the
units, and the interval covers these only. One unit gives an estimate and no interval.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
import xarray as xr

from rare_retention.evidence.states import UNITS

CONFIDENCE = 0.95
METHOD = "95% Student's t interval over streams, or over the initialisations of a single one"

DRAWN = {"batches": "batches", "weights": "initial weights", "tasks": "tasks"}
"""What each stream draws anew, and how a page calls it."""

Covers = Literal["streams", "initialisations", "none"]


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
    """

    estimate: float
    low: float
    high: float
    units: int
    covers: Covers
    streams: int
    initialisations: int
    missing: int


def student_t(values: xr.DataArray, confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of a statistic, units as the module says.

    Args:
        values: one number for each [stream, initialisation], or with one of the two alone; NaN
            where it is missing.
        confidence: in (0, 1).
    """
    table = _table(values)
    there = np.isfinite(table)
    table = np.where(there, table, np.nan)[there.any(1)]
    covers: Covers = "streams"
    if len(table) > 1:
        units = np.nanmean(table, axis=1)
    else:
        units = table[np.isfinite(table)]
        covers = "initialisations" if len(units) > 1 else "none"
    estimate = float(units.mean()) if len(units) else math.nan
    half = math.nan
    if len(units) > 1:
        # Equal units have no spread at all; rounding must not give them one.
        spread = 0.0 if np.ptp(units) == 0 else float(units.std(ddof=1))
        quantile = float(scipy.stats.t.ppf((1 + confidence) / 2, len(units) - 1))
        estimate = float(units[0]) if spread == 0 else estimate
        half = quantile * spread / math.sqrt(len(units))
    return Interval(
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        units=len(units),
        covers=covers,
        streams=len(table),
        initialisations=int(there.any(0).sum()),
        missing=int((~there).sum()),
    )


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
