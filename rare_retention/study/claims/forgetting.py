"""Claims that tell forgetting from what else makes a larger student end with more.

They need a study with arms: `left_out`, in which the rare task is shown or not, and for some of
them `protected_after`, in which it is protected in its gaps or not (`rules.protection`).
"""

import numpy as np
import xarray as xr

from rare_retention.evidence import control, retention, states
from rare_retention.study.claims.claim import Claim, NotTested, require, require_sizes

PROTECTED = "protected_after"
"""Dimension of a study's grid along which `rule.after` varies: where it is largest, nothing is."""

_ROOM = 0.9  # a size that is protected and holds as much has room for the task
_LACKS = 0.05  # of the level, at least, for there to be something to close


def _factor_difference(results: xr.Dataset) -> xr.DataArray:
    require(results, "exposure_step", "frequency")
    require_sizes(results)
    found = []
    for point, own in control.arms(results):
        each = control.excess_cycles(point, own)
        if each is not None:
            factor = control.retention_factor(each)
            found.append((factor.isel(size=-1) - factor.isel(size=0)).reset_coords(drop=True))
    if not found:
        raise NotTested(
            "the study has no control: no axis over exposure.left_out with an arm without the rare "
            "task, or no whole cycle of it"
        )
    return xr.concat(found, "point").mean("point", skipna=False)


def _levels(results: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Final levels above the control [stream, size, initialisation]: as it is, and protected."""
    require(results, "exposure_step", "frequency")
    require_sizes(results)
    found: dict[float, xr.DataArray] = {}
    for point, own in control.arms(results):
        if PROTECTED in point.coords:
            above = states.final(retention.learned(point)) - states.final(retention.learned(own))
            found[float(point[PROTECTED].item())] = above.reset_coords(drop=True)
    if len(found) < 2:
        raise NotTested(
            f"the study has no arms {PROTECTED} with and without protection, each with its control"
        )
    return found[max(found)], found[min(found)]


def _closed(results: xr.Dataset) -> xr.DataArray:
    bare, protected = _levels(results)
    lacks = bare.isel(size=-1) - bare
    mean = [dim for dim in states.UNITS if dim in protected.dims]
    room = (protected.mean(mean) >= _ROOM) & (lacks.mean(mean) >= _LACKS)
    if not room.any():
        raise NotTested(
            "no size holds 0.9 of the task when it is protected and lacks 0.05 when it is not"
        )
    small = int(np.argmax(room.to_numpy()))  # the smallest
    share: xr.DataArray = ((protected - bare) / lacks).isel(size=small)
    return share.reset_coords(drop=True)


CLAIMS = (
    Claim(
        name="retention_factor_grows_with_size",
        statement="Through a gap a large student keeps a larger factor of what it has of the rare "
        "task beyond its control than a small one.",
        source="our own; speaks for the retention account",
        statistic="Retention factor of the rarest watched task, the sum over cycles of what is "
        "learned above the control just before the next exposure over that at the peak: largest "
        "minus smallest, mean over grid points; a size whose mean peak is below 0.05 has none.",
        relation=">",
        threshold=0.1,
        compute=_factor_difference,
    ),
    Claim(
        name="protection_closes_the_gap",
        statement="Of what a small student with room for the rare task lacks beside a large one, "
        "protection of the task in its gaps gives back most.",
        source="our own; speaks for the retention account, against capacity and acquisition",
        statistic="Final level above the control of the smallest size that holds 0.9 when it is "
        "protected and lacks 0.05 when it is not: protected minus bare, over largest bare minus "
        "bare.",
        relation=">=",
        threshold=0.7,
        compute=_closed,
    ),
)
