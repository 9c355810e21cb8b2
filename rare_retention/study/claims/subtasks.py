"""Claims on sparse parities at power-law frequencies (Michaud et al. 2023).

Frequency also decides how much of a subtask is shown: of a subtask half as frequent half as many
rows have come by at any step. That subtasks are learned in the order of frequency is therefore no
claim but a check that what is shown more is learned earlier. Whether the order is more than that,
the claim on own rows asks; what it finds may be forgetting between rows that come rarely, or units
that are taken by then, so that it speaks for no account.

The thresholds were fixed after runs by which the small setting was tuned, on other streams, and
before any run that is reported. Were the order of K = 24 subtasks left to chance, the correlation's
standard deviation would be 0.21: 0.8 is far from that, and leaves room for neighbours in frequency
to change places. A fifth of the subtasks is the threshold that retention has between widths.
"""

from collections.abc import Callable

import xarray as xr

from rare_retention.evidence import states, subtasks
from rare_retention.study.claims.claim import (
    Claim,
    NotTested,
    counted,
    over_points,
    require,
    require_sizes,
)

_FEWEST_RANKS = 3  # two subtasks always correlate to +1 or -1


def _order(results: xr.Dataset) -> xr.DataArray:
    ranks: list[int] = []

    def correlation(point: xr.Dataset) -> xr.DataArray:
        if point.sizes["task"] < _FEWEST_RANKS:
            raise NotTested(f"a rank correlation needs {_FEWEST_RANKS} subtasks")
        times = subtasks.first_learned(_widest(point))
        ranks.append(point.sizes["task"] - 1)
        return subtasks.order(times, subtasks.frequency(point))

    return counted(_mean(results, correlation), ranks)


def _own_rows(results: xr.Dataset) -> xr.DataArray:
    require(results, "step_rows")

    def difference(point: xr.Dataset) -> xr.DataArray:
        widest = _widest(point)
        last = float(states.common(widest["accuracy"])["step"][-1])
        rows = subtasks.own_rows(widest, subtasks.first_learned(widest))
        return subtasks.rarer_needs_more(rows, subtasks.own_rows(widest, last))

    return _mean(results, difference)


def _share_by_width(results: xr.Dataset) -> xr.DataArray:
    require_sizes(results)

    cells: list[int] = []

    def difference(point: xr.Dataset) -> xr.DataArray:
        cells.append(point.sizes["task"])
        share = subtasks.share_learned(point)
        return share.isel(size=-1, drop=True) - share.isel(size=0, drop=True)

    return counted(_mean(results, difference), cells)


def _mean(results: xr.Dataset, statistic: Callable[[xr.Dataset], xr.DataArray]) -> xr.DataArray:
    """Mean of a statistic over the points of the grid."""
    require(results, "accuracy", "frequency")
    return over_points(results, statistic).mean("point", skipna=False)


def _widest(point: xr.Dataset) -> xr.Dataset:
    return point.isel(size=-1, drop=True)


CLAIMS = (
    Claim(
        name="parities_learned_by_frequency",
        statement="Subtasks are learned in the order of their frequency, which is also how much of "
        "each is shown.",
        source="arXiv 2303.13506",
        statistic="Spearman's correlation, over subtasks, of frequency with how early the widest "
        "student first tells 0.9 of the parities; subtasks that it never does are latest alike.",
        relation=">",
        threshold=0.8,
        compute=_order,
        account="none",
        against="Subtasks of which more has been shown are learned later: the mixture is not "
        "the one that was asked for.",
        kind="check",
        bounds=(-1, 1),
    ),
    Claim(
        name="rarer_parity_needs_more_own_rows",
        statement="By the own rows at which a more frequent subtask is learned, a rarer one more "
        "often is not.",
        source="our own control of the order",
        statistic="Pairs of subtasks of which the rarer needs more expected rows of its own until "
        "the widest student first tells 0.9 of the parities, less those of which it needs fewer, "
        "as a share of both; a pair counts if one of the two is learned within the rows that were "
        "seen of the rarer.",
        relation=">",
        threshold=0.0,
        compute=_own_rows,
        account="none",
        against="A rarer subtask is learned within as many rows of its own as a more frequent one.",
        bounds=(-1, 1),
    ),
    Claim(
        name="wider_learns_more_parities",
        statement="A wide student learns more of the subtasks than a narrow one.",
        source="arXiv 2303.13506",
        statistic="Share of the subtasks of which a student tells 0.9 of the parities at the end: "
        "widest minus narrowest.",
        relation=">",
        threshold=0.2,
        compute=_share_by_width,
        account="none",
        against="The narrow student has learned as many subtasks at the end.",
        bounds=(-1, 1),
    ),
)
