"""What a claim is: a sentence of the paper, and fixed beforehand what number judges it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import xarray as xr

from rare_retention.evidence import control, intervals, states

Relation = Literal[">", ">=", "<", "<="]

Kind = Literal["claim", "check"]
"""A check holds by construction, or says whether the numbers and the training are sound: it is
shown apart, and not counted among the claims that are judged together."""

Account = Literal["capacity", "acquisition", "retention", "none"]
"""Why a larger student ends with more: its optimum has room for the task, it gains more from each
exposure, or it loses less between them. "none": a verdict is the same whichever is true."""

NOTE = "note"
"""Attribute of a statistic: what its verdict notes beside it, such as which sizes it compares."""

THEOREM = "no interval: the claim is a theorem, and every unit must obey it"


class NotTested(Exception):
    """A study, or a point of its grid, cannot test a claim; the message says why."""


@dataclass(frozen=True)
class Claim:
    """One claim, fixed before any run.

    Attributes:
        name: slug, as in a study's `claims`.
        statement: the claim in one plain sentence.
        source: where the paper makes it.
        statistic: what is computed for each stream and initialisation.
        relation: how the statistic stands to the threshold where the claim holds.
        threshold: in the statistic's units.
        compute: results of a study -> the statistic [stream, initialisation], NaN where a value
            that it needs is missing; raises NotTested where the study cannot test the claim. The
            attribute `intervals.CELLS` of a share says how many cases stand behind each unit's, the
            attribute `NOTE` what the verdict notes. Of a statistic that may be known from one side
            alone a Dataset of `least` and `most`.
        account: which of the three accounts a verdict speaks for, or against.
        against: what result would be against the claim, in one plain sentence.
        kind: a claim, or a check.
        bounds: the least and the greatest value that the statistic can have, which its interval
            respects (`intervals.bounded`); None: it has none (`intervals.student_t`).
        theorem: whether a study checks the numbers of a theorem and estimates nothing: it holds if
            it does for every unit, without an interval.
        branches: whether it reads the branches of a study; others see its trunk alone.
    """

    name: str
    statement: str
    source: str
    statistic: str
    relation: Relation
    threshold: float
    compute: Callable[[xr.Dataset], xr.DataArray | xr.Dataset]
    account: Account
    against: str
    kind: Kind = "claim"
    bounds: tuple[float, float] | None = None
    theorem: bool = False
    branches: bool = False

    @property
    def interval(self) -> str:
        """How the statistic's uncertainty is estimated."""
        if self.theorem:
            return THEOREM
        if self.bounds is None:
            return intervals.METHOD
        return intervals.BOUNDED.format(low=self.bounds[0], high=self.bounds[1])


def require(results: xr.Dataset, *names: str) -> None:
    """Checks that the results hold these variables.

    Raises:
        NotTested: some are missing.
    """
    if missing := [name for name in names if name not in results]:
        raise NotTested(f"the results hold no {', '.join(missing)}")


def require_sizes(results: xr.Dataset) -> None:
    """Checks that there are sizes to compare.

    Raises:
        NotTested: there is one size only.
    """
    if results.sizes["size"] < 2:
        raise NotTested("the study has one size only")


def counted(share: xr.DataArray, cells: Iterable[int]) -> xr.DataArray:
    """A share with the number of cases behind that of each unit, for `intervals.bounded`.

    Args:
        share: statistic of a claim.
        cells: cases at each grid point.
    """
    return share.assign_attrs({intervals.CELLS: sum(cells)})


def over_points(
    results: xr.Dataset, statistic: Callable[[xr.Dataset], xr.DataArray], *keep: str
) -> xr.DataArray:
    """A statistic of each point of the grid, along a dimension `point`.

    Points at which the rarest watched task is left out are controls of others: they do not count.

    Args:
        results: of a study.
        statistic: of one point; it raises NotTested where the point cannot test the claim.
        keep: dimensions of the grid that stay within each point.

    Raises:
        NotTested: no point can test the claim; the reason is the last point's.
    """
    found: list[xr.DataArray] = []
    reason = "no run has finished"
    for point in states.points(results, keep):
        if control.is_control(point):
            continue
        try:
            found.append(statistic(point).reset_coords(drop=True))
        except NotTested as refusal:
            reason = str(refusal)
    if not found:
        raise NotTested(reason)
    return xr.concat(found, "point", coords="minimal", compat="override", join="outer")


def over_controls(
    results: xr.Dataset, statistic: Callable[[xr.Dataset, xr.Dataset], xr.DataArray]
) -> xr.DataArray:
    """A statistic of each point at which the rare task is shown and of its control, along `point`.

    Args:
        results: of a study.
        statistic: of a point and of the same without the task.

    Raises:
        NotTested: the study has no control.
    """
    require(results, "exposure_step", "watch")
    found = [statistic(point, own) for point, own in control.pairs(results)]
    if not found:
        raise NotTested(
            "what shrinks with size by itself cannot be told apart: the study has no arm in which "
            "the rare task is never shown (an axis over exposure.left_out)"
        )
    plain = [each.reset_coords(drop=True) for each in found]
    return xr.concat(plain, "point", coords="minimal", compat="override", join="outer")


def over_tasks(
    results: xr.Dataset,
    tasks: Iterable[str],
    statistic: Callable[[str, xr.Dataset], xr.DataArray],
    *keep: str,
) -> xr.DataArray:
    """Mean of a statistic over injected tasks and over the points of the grid.

    Args:
        results: of a study.
        tasks: their names; those that cannot test the claim do not count.
        statistic: of a task at one point; it raises NotTested where it cannot test the claim.
        keep: dimensions of the grid that stay within each point.

    Raises:
        NotTested: no task can test the claim; the reason is the last task's.
    """
    found, reason = [], "the study injects no task"
    for task in tasks:
        try:
            found.append(over_points(results, partial(statistic, task), *keep))
        except NotTested as refusal:
            reason = str(refusal)
    if not found:
        raise NotTested(reason)
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.mean("point", skipna=False)
