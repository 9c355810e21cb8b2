"""Claims on the gradients of the batches that a rare task is in, and of those between (Fig. 9).

They are judged on the neurons of the task in language studies and on the encoder in synthetic ones
(`evidence.cosines`). Cosines shrink with size by themselves, also those with a task that was never
shown: what those of the same students without the task do is taken off (`evidence.sham`).

That the gradient of a batch points to a task which is a good part of that batch (28% of the rows
in the small language study) is so whatever a model keeps: it checks the gradients. And a smaller
cosine shows that less stands against the task, not that more of it is kept: no account is judged.
"""

from collections.abc import Callable

import xarray as xr

from rare_retention.evidence import cosines, sham
from rare_retention.study.claims.claim import (
    Claim,
    NotTested,
    over_controls,
    over_points,
    require,
    require_sizes,
)


def _points_to_the_task(results: xr.Dataset) -> xr.DataArray:
    def mean(found: xr.Dataset) -> xr.DataArray:
        if not (found["shown"] == 1).any():
            raise NotTested("no batch that held the task was measured")
        shown: xr.DataArray = cosines.at_exposures(found)["g"].mean("size", skipna=False)
        return shown

    return _over_points(results, mean)


def _interference(results: xr.Dataset) -> xr.DataArray:
    require_sizes(results)

    require(results, "gram", "block_weights", "watch")
    block, _ = cosines.blocks(results)

    def difference(point: xr.Dataset, own: xr.Dataset) -> xr.DataArray:
        found, null = _cosines(point, block), _cosines(own, block)
        between = found["shown"] == 0
        if not between.any():
            raise NotTested("every measured batch held the task: there are none between exposures")
        return sham.less_in_large(found["g_nt"] ** 2, null["g_nt"] ** 2, between)

    return over_controls(results, difference).mean("point", skipna=False)


def _over_points(
    results: xr.Dataset, statistic: Callable[[xr.Dataset], xr.DataArray]
) -> xr.DataArray:
    """Mean over grid points of a statistic of the cosines on the task's block."""
    require(results, "gram", "block_weights", "watch")
    block, _ = cosines.blocks(results)

    def of(point: xr.Dataset) -> xr.DataArray:
        return statistic(_cosines(point, block))

    return over_points(results, of).mean("point", skipna=False)


def _cosines(point: xr.Dataset, block: str) -> xr.Dataset:
    """Cosines of one grid point on one block of weights."""
    if not point["gram"].notnull().any():
        raise NotTested("no gradients were compared")
    return cosines.cosines(point).sel(block=block, drop=True)


CLAIMS = (
    Claim(
        name="injection_gradient_points_to_the_task",
        statement="At an exposure the gradient of the batch points where the rare task's own does.",
        source="Fig. 9",
        statistic="cos(g, g_r) on the task's neurons (synthetic: the encoder), mean over measured "
        "batches that hold the rarest watched task, sizes and grid points.",
        relation=">",
        threshold=0.0,
        compute=_points_to_the_task,
        account="none",
        against="The gradient of a batch that is in good part the task's points away from it: "
        "gradients or their parts are wrong.",
        kind="check",
        bounds=(-1, 1),
    ),
    Claim(
        name="rest_interferes_less_in_large",
        statement="Between exposures the gradients of the other tasks have less to do with the "
        "rare task's in a larger model, beyond what they have with one that is never shown.",
        source="Fig. 9",
        statistic="cos(g_nt, g_r)^2 on the task's neurons (synthetic: the encoder) minus the same "
        "in the control that is never shown the task, mean over measured batches without the "
        "rarest watched task: smallest minus largest size, mean over grid points.",
        relation=">",
        threshold=0.0,
        compute=_interference,
        account="none",
        against="Between exposures the others' gradients lie as much along the rare task's in "
        "the largest model as in the smallest.",
    ),
)
