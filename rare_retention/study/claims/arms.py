"""Claims on arms: what a schedule costs each size, and what gives it back.

They need a study with an axis `arm` (`evidence.arms`). Sizes that are compared have room for the
rare task and hold it where it is shown evenly: what they lack under bursts is no want of capacity.
What is held is (v - c) / (1 - c) of a level v, with c that of the control (`evidence.arms.held`).
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from rare_retention.evidence import arms, control, decomposition, states
from rare_retention.study.claims.claim import NOTE, Claim, NotTested, require, require_sizes

NO_ARMS = (
    "the study has no arms: it must add an axis with dimension 'arm' whose places are called "
    f"{arms.EVEN!r}, {arms.NEVER!r}, schedules of bursts such as 'gap 50', and "
    f"'gap 50, {arms.PROTECTED}'"
)

Statistic = Callable[[xr.Dataset, str], xr.DataArray]
"""Of a grid point with its arms and a schedule of bursts; it raises NotTested."""


def _over_schedules(
    results: xr.Dataset, statistic: Statistic, *counterfactuals: str, longest: bool = False
) -> xr.DataArray:
    """Mean of a statistic over grid points and schedules of bursts that can test the claim.

    Args:
        results: of a study.
        statistic: of one schedule.
        counterfactuals: arms of the schedule that it needs, beside the schedule itself.
        longest: the last schedule alone.

    Raises:
        NotTested: none can; the reason is the last one's.
    """
    require(results, "frequency", "exposure_step")
    require_sizes(results)
    found, said, reason = [], [], NO_ARMS
    for point in arms.points(results):
        schedules = arms.bursts(point)
        for schedule in schedules[-1:] if longest else schedules:
            needed = [arms.named(schedule, what) for what in ("", *counterfactuals)]
            if not arms.has(point, arms.EVEN, *needed):
                reason = f"the study lacks one of the arms {', '.join((arms.EVEN, *needed))}"
                continue
            try:
                value = statistic(point, schedule)
            except NotTested as refusal:
                reason = str(refusal)
                continue
            found.append(value.drop_attrs().reset_coords(drop=True))
            said.append(f"{schedule}: {value.attrs[NOTE]}" if NOTE in value.attrs else schedule)
    if not found:
        raise NotTested(reason)
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.mean("point", skipna=False).assign_attrs({NOTE: "; ".join(dict.fromkeys(said))})


def _size(point: xr.Dataset, index: int) -> str:
    return f"size {point['size'].to_numpy()[index]}"


def _smallest_able(point: xr.Dataset) -> int:
    """Place of the smallest size that has room and holds the task where it is shown evenly.

    Raises:
        NotTested: there is none but the largest, or the largest is none.
    """
    able = np.flatnonzero(arms.able(point).to_numpy())
    if not len(able) or able[-1] != point.sizes["size"] - 1:
        raise NotTested(f"the largest size does not hold {arms.HOLDS:g} where it is shown evenly")
    if len(able) < 2:
        raise NotTested(f"the largest size alone holds {arms.HOLDS:g} where it is shown evenly")
    return int(able[0])


def _lacking(point: xr.Dataset, schedule: str, share: xr.DataArray) -> xr.DataArray:
    """A share of the smallest size that is able and lacks something under bursts."""
    _smallest_able(point)
    told = share.notnull().any([d for d in states.UNITS if d in share.dims])
    sizes = np.flatnonzero(arms.able(point).to_numpy() & told.to_numpy())
    if not len(sizes):
        raise NotTested(
            f"no size that holds {arms.HOLDS:g} where it is shown evenly lacks "
            f"{decomposition.LEAST_GAP:g} beside the largest at {schedule}"
        )
    first = int(sizes[0])
    return share.isel(size=first, drop=True).assign_attrs({NOTE: _size(point, first)})


def _protection(point: xr.Dataset, schedule: str) -> xr.DataArray:
    return _lacking(point, schedule, arms.closed(point, schedule, arms.PROTECTED))


def _still(point: xr.Dataset, schedule: str) -> xr.DataArray:
    return _lacking(point, schedule, arms.closed(point, schedule, arms.STILL))


def _gains(point: xr.Dataset, schedule: str) -> xr.DataArray:
    return _lacking(point, schedule, arms.closed(point, schedule, arms.MORE))


def _forgetting(point: xr.Dataset, schedule: str) -> xr.DataArray:
    return _lacking(point, schedule, arms.no_forgetting(point, schedule))


def _without_room(point: xr.Dataset, schedule: str) -> xr.DataArray:
    """Mean share that protection gives back to sizes that have no room."""
    share = arms.closed(point, schedule, arms.PROTECTED)
    narrow = ~arms.room(point).to_numpy()
    if not narrow.any():
        raise NotTested("no size is known to have no room for the rare task")
    if share.isel(size=narrow).isnull().all():
        raise NotTested(f"no size without room lacks anything beside the largest at {schedule}")
    names = ", ".join(map(str, point["size"].to_numpy()[narrow]))
    mean: xr.DataArray = share.isel(size=narrow).mean("size")
    return mean.assign_attrs({NOTE: f"sizes {names}"})


def _cost(point: xr.Dataset, schedule: str) -> xr.DataArray:
    """What bursts take from the smallest able size, beyond what they take from the largest."""
    first = _smallest_able(point)
    cost = arms.held(point, arms.EVEN) - arms.held(point, schedule)
    found: xr.DataArray = cost.isel(size=first, drop=True) - cost.isel(size=-1, drop=True)
    return found.assign_attrs({NOTE: f"{_size(point, first)} beside {_size(point, -1)}"})


def _acquisition(point: xr.Dataset, schedule: str) -> xr.DataArray:
    first, each = _smallest_able(point), _cycles(point, schedule)
    share = arms.acquisition(each)
    found: xr.DataArray = share.isel(size=-1, drop=True) - share.isel(size=first, drop=True)
    if found.isnull().all():
        raise NotTested(f"at {schedule} no measured cycle starts before a size holds 0.5")
    return found.assign_attrs({NOTE: f"{_size(point, -1)} beside {_size(point, first)}"})


def _factors(point: xr.Dataset, schedule: str) -> xr.DataArray:
    first, each = _smallest_able(point), _cycles(point, schedule)
    factor = control.retention_factor(each)
    for i in (first, -1):
        if factor.isel(size=i).isnull().all():
            raise NotTested(
                f"{_size(point, i)} has no retention factor: it never rises "
                f"{control.LEAST_RISE:g} above its control"
            )
    found: xr.DataArray = factor.isel(size=-1, drop=True) - factor.isel(size=first, drop=True)
    return found.assign_attrs({NOTE: f"{_size(point, -1)} beside {_size(point, first)}"})


def _cycles(point: xr.Dataset, schedule: str) -> xr.Dataset:
    """Cycles of what is held.

    Raises:
        NotTested: none was measured.
    """
    each = arms.cycles(point, schedule)
    if each is None:
        raise NotTested(f"no whole cycle of {schedule} was measured beside the control")
    return each


def _taught(point: xr.Dataset, schedule: str) -> xr.DataArray:
    rise = arms.taught(point, schedule, arms.ANOTHER_STILL)
    if rise is None:
        raise NotTested("no task that is never shown is watched")
    most: xr.DataArray = abs(rise).max("size", skipna=False)
    return most


def _of_another(results: xr.Dataset) -> xr.DataArray:
    """Distance from the bare schedule, at the size where it is largest; mean over schedules."""
    require(results, "frequency", "exposure_step")
    found = [
        abs(arms.held(point, arms.named(schedule, arms.ANOTHER)) - arms.held(point, schedule))
        for point in arms.points(results)
        for schedule in arms.bursts(point)
        if arms.has(point, arms.named(schedule, arms.ANOTHER))
    ]
    if not found:
        raise NotTested(f"the study has no arm such as 'gap 50, {arms.ANOTHER}'")
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.max("size").mean("point", skipna=False)


_LACKING = (
    f"smallest size that has room, holds {arms.HOLDS:g} where the task is shown evenly, and lacks "
    f"{decomposition.LEAST_GAP:g} beside the largest under bursts; what is held at the last "
    "step, mean over streams by mean; mean over the schedules at which there is such a size."
)

CLAIMS = (
    Claim(
        name="bursts_cost_small_more",
        statement="Shown in rare bursts in place of evenly, as often in all, a rare task is lost "
        "to a small student with room for it and not to a large one.",
        source="Fig. 4b",
        statistic="What is held at the last step where the task is shown evenly minus that in "
        "bursts at the longest gap: smallest size that has room and holds "
        f"{arms.HOLDS:g} where it is shown evenly, minus the largest.",
        relation=">",
        threshold=0.5,
        compute=lambda results: _over_schedules(results, _cost, longest=True),
        account="none",
        against="Bursts cost both about as much: with room for the task, when it is shown decides "
        "no difference between sizes.",
    ),
    Claim(
        name="protection_closes_the_gap",
        statement="Of what a small student with room for the rare task lacks beside a large one, "
        "protection of the task in its gaps gives back most.",
        source="our own",
        statistic="What is held with protection minus that without, over what the size lacks: "
        + _LACKING,
        relation=">=",
        threshold=0.7,
        compute=lambda results: _over_schedules(results, _protection, arms.PROTECTED),
        account="retention",
        against="A small student that cannot forget still lacks most of what the large one has.",
    ),
    Claim(
        name="holding_still_closes_the_gap",
        statement="Of what a small student with room for the rare task lacks beside a large one, "
        "more than half comes back where updates in its gaps neither harm nor help the task.",
        source="our own",
        statistic="What is held where the updates' component along the task's gradient is taken "
        "out in its gaps minus that without, over what the size lacks: " + _LACKING,
        relation=">",
        threshold=0.5,
        compute=lambda results: _over_schedules(results, _still, arms.STILL),
        account="retention",
        against="A small student whose bursts are neither undone nor added to still lacks at "
        "least half: what protection gives back beyond that is learned through it.",
    ),
    Claim(
        name="holding_still_teaches_nothing",
        statement="A task that is never shown, held still in its gaps, stays unknown.",
        source="our own check of the rule",
        statistic="Distance of that task's level at the last step from that in the same bursts "
        "without a rule, at the size where it is largest; mean over schedules.",
        relation="<",
        threshold=0.05,
        compute=lambda results: _over_schedules(results, _taught, arms.ANOTHER_STILL),
        account="none",
        against="The rule teaches a task that it should only keep as it is.",
        kind="check",
    ),
    Claim(
        name="larger_bursts_close_little",
        statement="Of what a small student with room for the rare task lacks beside a large one, "
        "more rows in each burst give back little.",
        source="our own",
        statistic="What is held with more rows minus that with the rows of the others, over what "
        "the size lacks: " + _LACKING,
        relation="<=",
        threshold=0.3,
        compute=lambda results: _over_schedules(results, _gains, arms.MORE),
        account="retention",
        against="It is enough to gain more at each burst.",
    ),
    Claim(
        name="forgetting_outweighs_gains",
        statement="Of what a small student with room for the rare task lacks beside a large one, "
        "more than half is forgetting.",
        source="our own",
        statistic="Shapley value of protection among protection and more rows, over what the size "
        "lacks: " + _LACKING,
        relation=">",
        threshold=0.5,
        compute=lambda results: _over_schedules(
            results, _forgetting, arms.PROTECTED, arms.MORE, arms.BOTH
        ),
        account="retention",
        against="At least half of it is that the small student gains too little, or neither.",
    ),
    Claim(
        name="protection_gives_nothing_without_room",
        statement="A student without room for the rare task lacks it also where it is protected.",
        source="Theorem 3",
        statistic="What is held with protection minus that without, over what the size lacks "
        "beside the largest, mean over the sizes that have no room by Theorem 3; at the last step, "
        "mean over streams by mean; mean over schedules of bursts.",
        relation="<=",
        threshold=0.3,
        compute=lambda results: _over_schedules(results, _without_room, arms.PROTECTED),
        account="capacity",
        against="Protection makes room where the mixture's optimum has none: it is no measure of "
        "forgetting alone.",
    ),
    Claim(
        name="larger_gains_more",
        statement="A burst gives a large student a larger share of what it lacks of the rare task "
        "than a small one with room for it.",
        source="our own",
        statistic="Rise at a burst until its peak, over what was missing before, summed over the "
        "measured cycles of the longest gap until some size starts one at 0.5: largest size minus "
        f"the smallest that has room and holds {arms.HOLDS:g} where the task is shown evenly.",
        relation=">",
        threshold=0.1,
        compute=lambda results: _over_schedules(results, _acquisition, longest=True),
        account="acquisition",
        against="A small student gains as large a share at each burst: what sets them apart comes "
        "after it.",
    ),
    Claim(
        name="larger_keeps_more_between_bursts",
        statement="Between bursts a large student keeps a larger factor of what it has of the rare "
        "task beyond its control than a small one with room for it.",
        source="Figs. 4a, 20, measured against a control",
        statistic="Retention factor at the longest gap, the sum over the measured cycles of what "
        "is held just before the next burst over that at the peak: largest size "
        f"minus the smallest that has room and holds {arms.HOLDS:g} where the task is shown "
        "evenly; a size whose mean peak is below 0.05 has none.",
        relation=">",
        threshold=0.3,
        compute=lambda results: _over_schedules(results, _factors, longest=True),
        account="retention",
        against="Both keep as large a factor: what sets them apart is what they gain.",
    ),
    Claim(
        name="protecting_another_gives_nothing",
        statement="Protection of another task in the place of the rare one leaves bursts what they "
        "are.",
        source="our own check of the protection",
        statistic="Distance of what is held at the last step from that of the same bursts without "
        "a rule, at the size where it is largest; mean over schedules.",
        relation="<",
        threshold=0.1,
        compute=_of_another,
        account="none",
        against="Any such rule gives something back: it is no matter of the task.",
        kind="check",
    ),
)
