"""The verdict on a claim: what its statistic's interval says of its threshold."""

import dataclasses
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from rare_retention.evidence import intervals
from rare_retention.evidence.intervals import Covers, Interval
from rare_retention.study.claims.claim import NOTE, Account, Claim, Kind, NotTested, Relation
from rare_retention.theory.checks import Array

Outcome = Literal["holds", "fails", "inconclusive", "not tested"]

CHECKED = {"holds": "passed", "fails": "failed"}
"""How the verdict on a check is called."""

_RELATIONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


@dataclass(frozen=True)
class Verdict:
    """What a study says of a claim.

    Attributes:
        claim: its name.
        statement: the claim in one sentence.
        source: where the paper makes it.
        statistic: what was computed.
        kind: a claim, or a check.
        account: which account of why larger students end with more the verdict speaks for.
        against: what result would be against the claim.
        interval: how its uncertainty was estimated.
        verdict: `holds` where the whole interval is on the claim's side of the threshold, `fails`
            where all of it is on the other, `inconclusive` where the threshold lies within, or one
            unit alone or units that are all equal give no interval, `not tested` where the study
            cannot say. A theorem holds where every unit obeys it, and fails where one does not.
        estimate: the statistic, NaN where not tested.
        low: lower end of its interval, NaN without one.
        high: upper end of its interval, NaN without one.
        relation: how the statistic stands to the threshold where the claim holds.
        threshold: in the statistic's units.
        units: independent numbers behind the interval.
        covers: which units these are.
        differ: what these units differ in, in words; what they do not differ in is not covered.
        streams: streams behind it.
        initialisations: initialisations behind it.
        note: why not tested or inconclusive, and what was left out; may be empty.
        p: two-sided p-value of the threshold; 1 where all units are equal and have no bounds, NaN
            where nothing was tested or one unit is all there is.
        together: the verdict where all claims that were judged with it share one error of 5%;
            checks do not count among them.
    """

    claim: str
    statement: str
    source: str
    statistic: str
    kind: Kind
    account: Account
    against: str
    interval: str
    verdict: Outcome
    estimate: float
    low: float
    high: float
    relation: Relation
    threshold: float
    units: int
    covers: Covers
    differ: str
    streams: int
    initialisations: int
    note: str
    p: float
    together: Outcome

    @property
    def word(self) -> str:
        """The verdict in a word: a check has passed or failed."""
        return CHECKED.get(self.verdict, self.verdict) if self.kind == "check" else self.verdict

    def noting(self, note: str) -> "Verdict":
        """The same with one more note, if there is one to make."""
        notes = "; ".join(each for each in (self.note, note) if each)
        return dataclasses.replace(self, note=notes)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON values; NaN and infinite ends become None."""
        plain = dataclasses.asdict(self)
        finite = {k for k, v in plain.items() if not isinstance(v, float) or math.isfinite(v)}
        return {k: v if k in finite else None for k, v in plain.items()}


def judge_claim(claim: Claim, results: xr.Dataset) -> Verdict:
    """Judges one claim by results in which unfinished runs are missing (`states.finished`)."""
    try:
        values = claim.compute(results)
    except NotTested as refusal:
        return _verdict(claim, "not tested", _NOTHING, results, [str(refusal)])
    found = _interval(claim, values, intervals.CONFIDENCE)
    dropped = ""
    if found.missing:
        every = next(iter(values.values())) if isinstance(values, xr.Dataset) else values
        dropped = f"{found.missing} of {every.size} statistics are missing"
    if not found.units:
        reason = "no student has all that the statistic needs"
        return _verdict(claim, "not tested", _NOTHING, results, [reason])
    alone = "one unit only: no interval" if found.units == 1 and not claim.theorem else ""
    flat = _flat(claim, found)
    alike = f"all {found.units} units are equal" if found.alike else ""
    alike += ": no spread to judge by" if flat else ""
    sided = f"of {found.censored} units one bound is known alone" if found.censored else ""
    notes = [str(values.attrs.get(NOTE, "")), alone, alike, sided, dropped]
    if claim.theorem and isinstance(values, xr.DataArray):
        word = _checked(claim, intervals.units_of(values).values)
        found = dataclasses.replace(found, low=math.nan, high=math.nan)
        return _verdict(claim, word, found, results, notes)
    if flat:
        found = dataclasses.replace(found, low=math.nan, high=math.nan)
        return _verdict(claim, "inconclusive", found, results, notes, 1.0)
    return _verdict(claim, outcome(claim, found), found, results, notes, _p(claim, values, found))


def _flat(claim: Claim, found: Interval) -> bool:
    """Whether units are equal that nothing bounds: an interval of no width would be sure of all.

    It counts among the claims that are judged together, as one that says nothing.
    """
    return found.alike and not found.censored and claim.bounds is None and not claim.theorem


def outcome(claim: Claim, found: Interval) -> Outcome:
    """Where the interval lies, seen from the claim's threshold."""
    if found.units < 2:
        return "inconclusive"
    right = _RELATIONS[claim.relation]
    ends = [bool(right(end, claim.threshold)) for end in (found.low, found.high)]
    if all(ends):
        return "holds"
    return "inconclusive" if any(ends) else "fails"


def _interval(claim: Claim, values: xr.DataArray | xr.Dataset, confidence: float) -> Interval:
    if isinstance(values, xr.Dataset):
        return intervals.between(values["least"], values["most"], confidence)
    if claim.bounds is None or claim.theorem:
        return intervals.student_t(values, confidence)
    return intervals.bounded(values, *claim.bounds, values.attrs.get(intervals.CELLS), confidence)


def _p(claim: Claim, values: xr.DataArray | xr.Dataset, found: Interval) -> float:
    if claim.bounds is None and not found.censored:
        return intervals.p_value(found, claim.threshold)
    return intervals.p_where(
        lambda confidence: _interval(claim, values, confidence), claim.threshold
    )


def _checked(claim: Claim, units: Array) -> Outcome:
    """What a check says: a theorem has no exceptions."""
    obeyed = _RELATIONS[claim.relation](units, claim.threshold)
    return "holds" if bool(np.all(obeyed)) else "fails"


_NOTHING = Interval(math.nan, math.nan, math.nan, 0, "none", 0, 0, 0)


def _verdict(
    claim: Claim,
    word: Outcome,
    found: Interval,
    results: xr.Dataset,
    notes: list[str],
    p: float = math.nan,
) -> Verdict:
    notes = [*notes, _unfinished(results)]
    return Verdict(
        claim=claim.name,
        statement=claim.statement,
        source=claim.source,
        statistic=claim.statistic,
        kind=claim.kind,
        account=claim.account,
        against=claim.against,
        interval=claim.interval,
        verdict=word,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        relation=claim.relation,
        threshold=claim.threshold,
        units=found.units,
        covers=found.covers,
        differ=intervals.differ(found.covers, held(results)),
        streams=found.streams,
        initialisations=found.initialisations,
        note="; ".join(note for note in notes if note),
        p=p,
        together=word,
    )


def judged_together(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with `together` by Holm's method: of many claims some hold or fail by chance.

    Checks are none of these claims: as many of them as one likes make no claim harder to hold.

    Args:
        verdicts: of one study, each by itself.
    """
    each = intervals.holm([math.nan if v.kind == "check" else v.p for v in verdicts])
    return [
        dataclasses.replace(verdict, together="inconclusive")
        if adjusted > 1 - intervals.CONFIDENCE and verdict.verdict in ("holds", "fails")
        else verdict
        for verdict, adjusted in zip(verdicts, each, strict=True)
    ]


def held(results: xr.Dataset) -> list[str]:
    """Parts that all streams of a study have in common (`Run.fixed`)."""
    return [part for part in results.attrs.get("held", "").split(", ") if part]


def _unfinished(results: xr.Dataset) -> str:
    if "finished" not in results or results["finished"].all():
        return ""
    runs = results["finished"]
    if "size" in runs.dims and bool((runs.all("size") == runs.any("size")).all()):
        runs = runs.all("size")  # sizes that were trained together are one run
    return f"{runs.size - int(runs.sum())} of {runs.size} runs have not finished"
