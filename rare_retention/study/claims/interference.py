"""Claims on gradients: cosines by width, Theorem 4's bound, first- and second-order changes.

Theorem 4's bound holds for any student: it is a check of the numbers. None speaks for one account:
cosines of directions that have nothing to do with each other shrink with the width as well.
"""

import xarray as xr

from rare_retention.evidence import block_effects, common_gradient, states
from rare_retention.study.claims.claim import (
    Claim,
    NotTested,
    counted,
    over_controls,
    over_points,
    require,
)

_FEWEST_RANKS = 3  # two widths always correlate to +1 or -1


def _cosine_by_width(results: xr.Dataset) -> xr.DataArray:
    require(results, "cosine", "watch")
    if results.sizes["size"] < _FEWEST_RANKS:
        raise NotTested(f"a rank correlation needs {_FEWEST_RANKS} widths")

    def late(point: xr.Dataset) -> xr.DataArray:
        rare = point["cosine"].sel(watch=states.rarest(point), drop=True)
        return common_gradient.late_cosine(rare)

    excess = over_controls(results, lambda point, own: late(point) - late(own))
    ranks = common_gradient.rank_correlation(excess.mean("point", skipna=False))
    return counted(ranks, [results.sizes["size"] - 1])


def _bound(results: xr.Dataset) -> xr.DataArray:
    require(results, "basis_gradient", "basis_bound", "frequency", "spectrum")

    def share(point: xr.Dataset) -> xr.DataArray:
        obeyed = common_gradient.within_bound(point)
        mean: xr.DataArray = obeyed.mean(("size", "step"), skipna=False)
        return mean

    return over_points(results, share).mean("point", skipna=False)


def _first_order(results: xr.Dataset) -> xr.DataArray:
    require(results, "reference", "predicted_change", "watch")

    def error(point: xr.Dataset) -> xr.DataArray:
        rare = point.sel(watch=states.rarest(point), drop=True)
        changes = common_gradient.changes(rare["reference"], rare["predicted_change"])
        return common_gradient.change_error(changes)

    return over_points(results, error).mean("point", skipna=False)


def _two_orders(results: xr.Dataset) -> xr.DataArray:
    require(results, "interference_first", "interference_second", "reference", "exposure_step")

    def share(point: xr.Dataset) -> xr.DataArray:
        return block_effects.explained(point)["both"].mean("size", skipna=False)

    return over_points(results, share).mean("point", skipna=False)


CLAIMS = (
    Claim(
        name="cosine_shrinks_with_width",
        statement="The gradients of common and rare tasks are less aligned in wider students, "
        "beyond those of common tasks and one that is never shown.",
        source="Figs. 4b, 16b",
        statistic="Spearman's correlation with width of |cos(G_r, G_F)| minus the same in the "
        "control that is never shown the task, mean over the states measured in the last quarter "
        "of the run, for the rarest watched task.",
        relation="<",
        threshold=0.0,
        compute=_cosine_by_width,
        account="none",
        against="The cosine of common and rare gradients is as large in wide students. That it "
        "is smaller speaks for no account: it would be by chance too.",
        bounds=(-1, 1),
    ),
    Claim(
        name="common_gradient_bound",
        statement="The common tasks' gradient obeys its bound by their residual (a theorem: this "
        "checks the numbers).",
        source="Theorem 4",
        statistic="Share of measured states with |G_F(U)| <= 2 sqrt(lambda_1(M_F) delta_F(U)), up "
        "to float32 rounding.",
        relation=">=",
        threshold=1.0,
        compute=_bound,
        account="none",
        against="A measured gradient exceeds its bound: the numbers are wrong, since the "
        "theorem is not.",
        kind="check",
        theorem=True,
    ),
    Claim(
        name="first_order_change",
        statement="The updates change the rare loss as its gradient says, to first order.",
        source="our own check of the account by interference",
        statistic="Sum over windows between measured states of |predicted - measured| change of "
        "the rarest watched task's loss, over the sum of |measured|.",
        relation="<=",
        threshold=0.2,
        compute=_first_order,
        account="none",
        against="The rare loss changes by what its gradient does not say, so that first-order "
        "effects explain nothing of it.",
        kind="check",
    ),
    Claim(
        name="two_orders_explain_changes",
        statement="Between exposures the rare loss changes as gradient and curvature along the "
        "updates say.",
        source="our own check of the account by interference",
        statistic="1 minus the sum over windows between exposures of |first + second order - "
        "measured| change of the rarest watched task's loss over the sum of |measured|, mean over "
        "sizes and grid points.",
        relation=">=",
        threshold=0.9,
        compute=_two_orders,
        account="none",
        against="The measured changes are not those that the updates make to second order: steps "
        "are too long for an account by single blocks, or the recorded orders are wrong.",
        kind="check",
    ),
)
