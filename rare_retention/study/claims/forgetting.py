"""Claims that tell forgetting from what else makes a larger student end with more.

They need a study with arms: `left_out`, in which the rare task is shown or not, and for some of
them `protected_after`, in which it is protected in its gaps or not (`rules.protection`). Levels are
those above the control (`evidence.control`): signals, or of an injected task the level of its
answer. Only sizes with room for the rare task are compared, where Theorem 3 says which those are:
what has no room is lost for want of capacity. Language models are all compared; that the small ones
have room has to be shown elsewhere.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from rare_retention.evidence import control, exposures, intervals, retention, states
from rare_retention.study.claims.claim import Claim, NotTested, require, require_sizes

PROTECTED = "protected_after"
"""Dimension of a study's grid along which `rule.after` varies: where it is largest, nothing is."""

NO_CONTROL = (
    "the study has no control: it must add an axis over exposure.left_out with the values () and "
    "(-1,), the same runs without the rare task"
)

_ROOM = 0.9  # a size that is protected and holds as much has room for the task
_LACKS = 0.05  # of the level, at least, for there to be something to close


def _factor_difference(results: xr.Dataset) -> xr.DataArray:
    require_sizes(results)

    def difference(point: xr.Dataset, own: xr.Dataset) -> xr.DataArray:
        factor = _factors(_with_room(point, _excess(point, own)))
        return factor.isel(size=-1) - factor.isel(size=0)

    return _over_arms(results, difference)


def _factor_of_smallest(results: xr.Dataset) -> xr.DataArray:
    def factor(point: xr.Dataset, own: xr.Dataset) -> xr.DataArray:
        each = _with_room(point, _excess(point, own), least=1)
        return _factors(each.isel(size=[0])).isel(size=0)

    return _over_arms(results, factor)


def _factor_at_equal_gain(results: xr.Dataset) -> xr.DataArray:
    """Difference of factors where gains are alike.

    Gains are of the level above the control; `study.matching` has the same of the raw level, since
    a calibration study has no control. A gain is a rise within one cycle, of which the control's
    level takes off no more than it moves in that cycle.
    """
    require_sizes(results)
    require(results, "exposure_count")

    def difference(point: xr.Dataset, own: xr.Dataset) -> xr.DataArray:
        each = _with_room(point, _excess(point, own))
        counted = retention.before_any(each)
        rows = exposures.rows(point, each["exposure"])
        gain = retention.gain_per_row(each, rows, counted)
        small, large = (float(gain.isel(size=i).mean()) for i in (0, -1))
        if not max(small, large) < retention.EQUAL_GAINS * min(small, large):
            raise NotTested(
                f"the smallest size gains {small:.3g} for each row of the task, the largest "
                f"{large:.3g}: launch.match tells at which learning rates they gain alike"
            )
        factor = _factors(each, counted)
        return factor.isel(size=-1) - factor.isel(size=0)

    return _over_arms(results, difference)


def _over_arms(
    results: xr.Dataset, statistic: Callable[[xr.Dataset, xr.Dataset], xr.DataArray]
) -> xr.DataArray:
    """Mean over grid points of a statistic of a point and its control.

    Points at which the task is protected do not count: what they keep is the rule's doing.

    Raises:
        NotTested: there is no control, or no point can test the claim; the reason is the last's.
    """
    require(results, "exposure_step", "frequency")
    if "signal" not in results:
        require(results, "loss", "chance")
    found, reason = [], NO_CONTROL
    for point, own in control.arms(results):
        if PROTECTED in point.coords and point[PROTECTED] < results[PROTECTED].max():
            continue
        try:
            found.append(statistic(point, own).reset_coords(drop=True))
        except NotTested as refusal:
            reason = str(refusal)
    if not found:
        raise NotTested(reason)
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.mean("point", skipna=False)


def _excess(point: xr.Dataset, own: xr.Dataset) -> xr.Dataset:
    """Cycles of the level above the control at one grid point."""
    found = control.excess_cycles(point, own)
    if found is None:
        raise NotTested("no whole cycle between exposures was measured")
    return found


def _with_room(point: xr.Dataset, each: xr.Dataset, least: int = 2) -> xr.Dataset:
    """The sizes that may have room for the rare task, of which there must be some."""
    room = control.room(point).to_numpy()
    if room.sum() < least:
        number = {0: "no size has", 1: "one size alone has"}[int(room.sum())]
        raise NotTested(
            f"{number} room for the rare task by Theorem 3: what the others lack is capacity"
        )
    return each.isel(size=room)


def _factors(each: xr.Dataset, counted: xr.DataArray | None = None) -> xr.DataArray:
    """Retention factors of sizes, of which the smallest and the largest must have one."""
    rises = control.mean_rise(each, counted)
    rises = rises.mean([d for d in states.UNITS if d in rises.dims])
    for i in (0, -1):
        if rises.isel(size=i) < control.LEAST_RISE:
            raise NotTested(
                f"size {each['size'].values[i]} has no retention factor: it never rises "
                f"{control.LEAST_RISE:g} above its control, {float(rises.isel(size=i)):.2g} at most"
            )
    return control.retention_factor(each, counted)


def _levels(results: xr.Dataset) -> list[tuple[xr.DataArray, xr.DataArray]]:
    """Final levels above the control [stream, size, initialisation]: as it is, and protected.

    A pair for each place of the grid's other dimensions.
    """
    require(results, "exposure_step", "frequency")
    require_sizes(results)
    others = [name for name in states.grid(results) if name not in (control.ARM, PROTECTED)]
    found: dict[tuple[object, ...], dict[float, xr.DataArray]] = {}
    for point, own in control.arms(results):
        if PROTECTED in point.coords:
            above = states.final(retention.level(point)) - states.final(retention.level(own))
            arms = found.setdefault(tuple(point[name].item() for name in others), {})
            arms[float(point[PROTECTED].item())] = above.reset_coords(drop=True)
    pairs = [(arms[max(arms)], arms[min(arms)]) for arms in found.values() if len(arms) > 1]
    if not pairs:
        raise NotTested(
            f"the study has no arms {PROTECTED} with and without protection, each with its control"
        )
    return pairs


def _closed(results: xr.Dataset) -> xr.DataArray:
    found, reason = [], ""
    for bare, protected in _levels(results):
        try:
            found.append(_share_closed(bare, protected))
        except NotTested as refusal:
            reason = str(refusal)
    if not found:
        raise NotTested(reason)
    return xr.concat(found, "point", coords="minimal", compat="override").mean(
        "point", skipna=False
    )


def _share_closed(bare: xr.DataArray, protected: xr.DataArray) -> xr.DataArray:
    """Share of what the smallest size with room lacks that protection gives back."""
    lacks = bare.isel(size=-1, drop=True) - bare
    mean = [dim for dim in states.UNITS if dim in protected.dims]
    room = (protected.mean(mean) >= _ROOM) & (lacks.mean(mean) >= _LACKS)
    if not room.any():
        raise NotTested(
            "no size holds 0.9 of the task when it is protected and lacks 0.05 when it is not"
        )
    small = int(np.argmax(room.to_numpy()))  # the smallest
    given, lack = (each.isel(size=small, drop=True) for each in (protected - bare, lacks))
    return intervals.ratio(given, lack).reset_coords(drop=True)


CLAIMS = (
    Claim(
        name="retention_factor_grows_with_size",
        statement="Through a gap a large student keeps a larger factor of what it has of the rare "
        "task beyond its control than a small one.",
        source="Figs. 4a, 8, 16a, 20, measured against a control",
        statistic="Retention factor of the rarest watched task, the sum over cycles of its level "
        "above the control just before the next exposure over that at the peak: largest minus "
        "smallest size that may have room by Theorem 3, mean over grid points; a size whose mean "
        "peak is below 0.05 has none.",
        relation=">",
        threshold=0.1,
        compute=_factor_difference,
        account="retention",
        against="The small student keeps as large a factor, however much less it gains and holds.",
    ),
    Claim(
        name="larger_keeps_more_at_matched_gain",
        statement="Large students keep a larger factor through a gap also where a row of the rare "
        "task gives them as much as small ones.",
        source="our own control of Figs. 4a, 8",
        statistic="As `retention_factor_grows_with_size`, over cycles until some size starts one "
        "at 0.5, mean over the grid points at which smallest and largest size gain alike in these "
        "cycles, for each row shown, within a factor of 1.25.",
        relation=">",
        threshold=0.1,
        compute=_factor_at_equal_gain,
        account="retention",
        against="At equal gain for each row the factors are equal, so that larger students only "
        "gain more.",
    ),
    Claim(
        name="small_loses_most_in_a_gap",
        statement="In a gap a small student with room for the rare task loses most of what it has "
        "of it beyond its control.",
        source="Figs. 4a, 16a, 20, measured against a control",
        statistic="Retention factor of the rarest watched task, as in "
        "`retention_factor_grows_with_size`, of the smallest size that may have room, mean over "
        "grid points.",
        relation="<=",
        threshold=0.5,
        compute=_factor_of_smallest,
        account="retention",
        against="The small student still has more than half of its peak when the gap ends, so that "
        "it is not by forgetting that it has little.",
    ),
    Claim(
        name="protection_closes_the_gap",
        statement="Of what a small student with room for the rare task lacks beside a large one, "
        "protection of the task in its gaps gives back most.",
        source="our own",
        statistic="Final level above the control of the smallest size that holds 0.9 when it is "
        "protected and lacks 0.05 when it is not: protected minus bare, over largest bare minus "
        "bare, mean over streams by mean; mean over the other places of the grid.",
        relation=">=",
        threshold=0.7,
        compute=_closed,
        account="retention",
        against="A small student that cannot forget still lacks most of what the large one has.",
    ),
)
