"""Claims on branches: what students lose once the batches go on without the task."""

import xarray as xr

from rare_retention.evidence import branches, forgetting, states
from rare_retention.study.claims.claim import Claim, NotTested, require, require_sizes

NO_BRANCH = (
    "the study has no branch in which nothing changes but that the task is left out: it must add "
    "one, with a change of exposure.left_out alone"
)


def _curves(results: xr.Dataset, name: str, point: xr.Dataset) -> xr.Dataset:
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
                each = _curves(results, name, point)
            except NotTested as refusal:
                reason = str(refusal)
                continue
            small, large = (each.isel(size=i).reset_coords(drop=True) for i in (0, -1))
            found.append(forgetting.ratios(small, large))
    if not found:
        raise NotTested(reason)
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.mean("point", skipna=False)


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
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.mean("point", skipna=False)


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
)
