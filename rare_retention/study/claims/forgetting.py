"""Claims that tell forgetting from what else makes a larger student end with more.

They need a study with a control, an axis over `exposure.left_out`: the rare task is shown or not.
Levels are those above it (`evidence.control`): signals, or of an injected task the level of its
answer. Only sizes with room for the rare task are compared, where Theorem 3 says which those are:
what has no room is lost for want of capacity. Language models are all compared; that the small ones
have room has to be shown elsewhere.
"""

from collections.abc import Callable

import xarray as xr

from rare_retention.evidence import control, exposures, retention, states
from rare_retention.study.claims.claim import Claim, NotTested, require, require_sizes

NO_CONTROL = (
    "the study has no control: it must add an axis over exposure.left_out with the values () and "
    "(-1,), the same runs without the rare task"
)


def _factor_difference(results: xr.Dataset) -> xr.DataArray:
    require_sizes(results)

    def difference(point: xr.Dataset, own: xr.Dataset) -> xr.DataArray:
        factor = _factors(_with_room(point, _excess(point, own)))
        return factor.isel(size=-1) - factor.isel(size=0)

    return _over_pairs(results, difference)


def _factor_of_smallest(results: xr.Dataset) -> xr.DataArray:
    def factor(point: xr.Dataset, own: xr.Dataset) -> xr.DataArray:
        each = _with_room(point, _excess(point, own), least=1)
        return _factors(each.isel(size=[0])).isel(size=0)

    return _over_pairs(results, factor)


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

    return _over_pairs(results, difference)


def _over_pairs(
    results: xr.Dataset, statistic: Callable[[xr.Dataset, xr.Dataset], xr.DataArray]
) -> xr.DataArray:
    """Mean over grid points of a statistic of a point and its control.

    Raises:
        NotTested: there is no control, or no point can test the claim; the reason is the last's.
    """
    require(results, "exposure_step", "frequency")
    if "signal" not in results:
        require(results, "loss", "chance")
    found, reason = [], NO_CONTROL
    for point, own in control.pairs(results):
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
)
