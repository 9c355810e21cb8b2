"""Claims on branches: what students lose once the batches go on without the task."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

from rare_retention.evidence import branches, forgetting, savings, states
from rare_retention.study.claims.claim import Claim, NotTested, require, require_sizes

NO_BRANCH = (
    "the study has no branch in which nothing changes but that the task is left out: it must add "
    "one, with a change of exposure.left_out alone"
)


LEARNED = 0.9
"""Level at which a task counts as learned, the first time and again."""


def _mean(found: Sequence[Any]) -> Any:
    """Mean over branches and grid points."""
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.mean("point", skipna=False)


def _curves(name: str, point: xr.Dataset) -> xr.Dataset:
    """Curves of forgetting of the smallest and the largest size along a branch."""
    level = branches.level(point, name).isel(size=[0, -1])
    if level.sizes["step"] < 4:
        raise NotTested(f"branch {name} has fewer than 4 measured states that all streams share")
    found = forgetting.curves(level)
    for i, size in enumerate(found["size"].to_numpy()):
        start = found["start"].isel(size=i)
        if float(start.mean()) < forgetting.LEAST_HELD:
            raise NotTested(
                f"size {size} has nothing to forget: it holds {float(start.mean()):.2g} where "
                f"branch {name} begins"
            )
    return found


def _half_lives(results: xr.Dataset) -> xr.Dataset:
    """Least and greatest log2 ratio of half-lives, largest over smallest size."""
    require(results, "turn")
    require_sizes(results)
    found, reason = [], NO_BRANCH
    for name in branches.quiet(results):
        for point in branches.points(results):
            try:
                each = _curves(name, point)
            except NotTested as refusal:
                reason = str(refusal)
                continue
            small, large = (each.isel(size=i).reset_coords(drop=True) for i in (0, -1))
            found.append(forgetting.ratios(small, large))
    if not found:
        raise NotTested(reason)
    return _mean(found)


def _kept(results: xr.Dataset) -> xr.DataArray:
    """Level at the end of a protected branch over that at its start, mean over sizes."""
    require(results, "turn")
    found = []
    for name in branches.protected(results):
        for point in branches.points(results):
            level = branches.level(point, name)
            start, end = level.isel(step=0, drop=True), level.isel(step=-1, drop=True)
            each = [dim for dim in states.UNITS if dim in start.dims]
            held = start.mean(each) >= forgetting.LEAST_HELD
            share = (end / start).where(held).reset_coords(drop=True)
            found.append(share.mean("size"))
    if not found:
        raise NotTested("the study has no branch in which the task is left out and protected")
    return _mean(found)


def _of_another(results: xr.Dataset) -> xr.DataArray:
    """Level at the end where another task is protected, less that where nothing is."""
    require(results, "turn")
    others, bare = branches.protected(results, another=True), branches.quiet(results)
    if not (others and bare):
        raise NotTested(
            "the study has no branches without the task in which another one is protected, and "
            "nothing is"
        )
    found = []
    for point in branches.points(results):
        levels = (
            branches.level(point, name).reset_coords(drop=True) for name in (others[0], bare[0])
        )
        both = xr.align(*levels, join="inner", exclude=())
        other, alone = (level.isel(step=-1, drop=True) for level in both)
        found.append(abs(other - alone).mean("size"))
    return _mean(found)


def _savings(results: xr.Dataset) -> xr.Dataset:
    """Least and greatest difference of savings, largest minus smallest size."""
    require(results, "turn")
    require_sizes(results)
    pairs = branches.relearned(results)
    if not pairs:
        raise NotTested(
            "the study has no branch in which the task is shown again after a quiet one"
        )
    found = []
    for first, again in pairs:
        for point in branches.points(results):
            learning, second = (
                branches.level(point, name).isel(size=[0, -1]) for name in (first, again)
            )
            each = savings.savings(learning, second, LEARNED)[["low", "high"]]
            small, large = (each.isel(size=i).reset_coords(drop=True) for i in (0, -1))
            found.append(
                xr.Dataset({"least": large.low - small.high, "most": large.high - small.low})
            )
    return _mean(found)


CLAIMS = (
    Claim(
        name="larger_forgets_slower",
        statement="Once the batches go on without the task, a large student takes more than twice "
        "the steps of a small one to lose half of what it had.",
        source="our own",
        statistic="log2 of the steps until the level is half of that at the state where the branch "
        "goes on without the task, largest size minus smallest, mean over such branches and grid "
        "points; of a half-life beyond the measured steps these are its least value.",
        relation=">",
        threshold=1.0,
        compute=_half_lives,
        account="retention",
        against="The large student's half-life is at most twice the small one's.",
        branches=True,
    ),
    Claim(
        name="protection_keeps_the_level",
        statement="A student whose task is protected keeps it while the batches go on without it.",
        source="our own check of the protection",
        statistic="Level at the end of a branch without the task in which it is protected, over "
        "that at its start, mean over sizes that hold 0.05 there, branches and grid points.",
        relation=">=",
        threshold=0.7,
        compute=_kept,
        account="none",
        against="What is protected fades all the same: the rule is no stand-in for not forgetting.",
        kind="check",
        branches=True,
    ),
    Claim(
        name="protection_of_another_changes_nothing",
        statement="The same rule along the gradient of another task leaves the level as it is "
        "without a rule.",
        source="our own check of the protection",
        statistic="Distance of the levels at the last step that the two branches without the task "
        "share, mean over sizes and grid points.",
        relation="<",
        threshold=0.03,
        compute=_of_another,
        account="none",
        against="Taking any task's gradient out of the updates keeps this one: what is kept is no "
        "matter of its own gradient.",
        kind="check",
        branches=True,
    ),
    Claim(
        name="savings_grow_with_size",
        statement="A large student saves a larger share of the steps when it learns the task again "
        "after batches without it.",
        source="our own; after Ebbinghaus",
        statistic=f"1 - steps to relearn over steps to learn, to a level of {LEARNED:g} twice in a "
        "row: largest size minus smallest, mean over pairs of branches and grid points; of a task "
        "that does not get there these are bounds.",
        relation=">",
        threshold=0.0,
        compute=_savings,
        account="retention",
        against="The large student takes as large a share of the steps as the small one, or a "
        "larger one: what it forgets is lost, not covered.",
        branches=True,
    ),
)
