"""Claims on branches: what students lose once the batches go on without the task.

Levels are those above the control, or above a sham (`evidence.branches.above`), but where a task
has to be known and where two branches of the same students are compared: there they are raw.

How fast a level falls hangs on where it starts. Sizes are compared from equal levels; equal levels
may still have been trained unequally long, and near 1 the same level may hide unequal margins.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from rare_retention.evidence import branches, forgetting, intervals, once_known, savings, states
from rare_retention.study.claims.claim import NOTE, Claim, NotTested, require, require_sizes

NO_BRANCH = (
    "the study has no branch in which nothing changes but that the task is left out: it must add "
    "one, with a change of exposure.left_out alone"
)

APART = 0.1
"""Levels that differ by no more than this at the start count as equal."""

KEPT_WITHOUT = 0.25
"""Protection is seen to keep what without it less than this share is left of."""

LEARNED = 0.9
"""Level at which a task counts as learned, the first time and again."""


def _mean(found: Sequence[Any]) -> Any:
    """Mean over branches and grid points."""
    joined = xr.concat(found, "point", coords="minimal", compat="override", join="outer")
    return joined.mean("point", skipna=False)


def _half_lives(results: xr.Dataset) -> xr.Dataset:
    """Least and greatest log2 ratio of half-lives, largest over a smaller size of equal start."""
    require(results, "turn")
    require_sizes(results)
    found, pairs, reason = [], [], NO_BRANCH
    for name in branches.quiet(results):
        for point, own in branches.pairs(results):
            try:
                level = _from_equal_starts(name, branches.above(point, name, own))
            except NotTested as refusal:
                reason = str(refusal)
                continue
            each = forgetting.curves(level)
            small, large = (each.isel(size=i).reset_coords(drop=True) for i in (0, 1))
            found.append(forgetting.ratios(small, large))
            pairs.append("size {1} beside {0}".format(*level["size"].to_numpy()))
    if not found:
        raise NotTested(reason)
    return _mean(found).assign_attrs({NOTE: ", ".join(dict.fromkeys(pairs))})


def _from_equal_starts(name: str, level: xr.DataArray) -> xr.DataArray:
    """Levels of the largest size and of the smallest that starts where that does.

    Raises:
        NotTested: the largest holds nothing, or no other starts where it does.
    """
    if level.sizes["step"] < 4:
        raise NotTested(f"branch {name} has fewer than 4 measured states that all streams share")
    starts = _over_units(level.isel(step=0, drop=True))
    said = ", ".join(f"{float(held):.2g} at {held['size'].item()}" for held in starts)
    if not starts[-1] >= forgetting.LEAST_HELD:
        raise NotTested(
            f"the largest size has nothing to forget where branch {name} begins: {said}"
        )
    equal = (abs(starts - starts[-1]) <= APART) & (starts >= forgetting.LEAST_HELD)
    first = int(equal.argmax("size"))
    if first == level.sizes["size"] - 1:
        raise NotTested(
            f"how fast a level falls hangs on where it starts, and no size starts within {APART:g} "
            f"of the largest where branch {name} begins: {said}"
        )
    return level.isel(size=[first, -1])


def _once_known(results: xr.Dataset) -> xr.Dataset:
    """Least and greatest log2 ratio of half-lives from where each student first knows the task."""
    require(results, "turn")
    require_sizes(results)
    names = branches.quiet(results)
    if len(names) < 2:
        raise NotTested(
            "students know the task at states of their own: the study must add branches without "
            "it from several of them"
        )
    found, pairs, reason = [], [], ""
    for point, own in branches.pairs(results):
        if min(branches.level(point, name).sizes["step"] for name in names) < 4:
            reason = "some branch has fewer than 4 measured states that all streams share"
            continue
        each = once_known.curves(point, own, names, LEARNED)
        units = [d for d in states.UNITS if d in each.dims]
        every = (each["known"] != 0).all(units) & each["known"].notnull().any(units)
        sizes = np.flatnonzero(every.to_numpy())
        if len(sizes) < 2 or sizes[-1] != every.sizes["size"] - 1:
            knows = ", ".join(map(str, each["size"].to_numpy()[sizes])) or "none"
            reason = (
                f"all students know the task at {LEARNED:g} where some branch begins at these "
                f"sizes: {knows}; expected the largest and another"
            )
            continue
        pair = (int(sizes[0]), -1)
        small, large = (each.isel(size=i).reset_coords(drop=True) for i in pair)
        found.append(forgetting.ratios(small, large))
        pairs.append("size {1} beside {0}".format(*each["size"].to_numpy()[list(pair)]))
    if not found:
        raise NotTested(reason or NO_BRANCH)
    return _mean(found).assign_attrs({NOTE: ", ".join(dict.fromkeys(pairs))})


def _over_units(values: xr.DataArray) -> xr.DataArray:
    """Mean over streams and initialisations."""
    return values.mean([dim for dim in states.UNITS if dim in values.dims])


def _protected(
    results: xr.Dataset, another: bool
) -> Iterator[tuple[str, str, xr.Dataset, xr.Dataset | None]]:
    """Names of protected branches and of the same without protection, at each grid point.

    Raises:
        NotTested: there is none.
    """
    pairs = [
        (name, bare)
        for name in branches.protected(results, another)
        if (bare := branches.bare(results, name)) is not None
    ]
    if not pairs:
        what = "another one is protected" if another else "it is protected"
        raise NotTested(
            f"the study has no branch without the task in which {what}, beside one from the same "
            "state without protection"
        )
    for name, bare in pairs:
        for point, own in branches.pairs(results):
            yield name, bare, point, own


def _common_end(*levels: xr.DataArray) -> list[xr.DataArray]:
    """Levels at the last step that all of them have.

    Raises:
        NotTested: they have none.
    """
    shared = xr.align(*levels, join="inner")
    if not shared[0].sizes["step"]:
        raise NotTested("no stream has finished both the protected branch and that without it")
    return [level.isel(step=-1, drop=True).reset_coords(drop=True) for level in shared]


def _forgotten(bare: xr.DataArray, end: xr.DataArray) -> xr.DataArray:
    """Sizes that lose most of the task without protection; bool [size].

    Args:
        bare: level without protection.
        end: the same at the step at which branches are compared.

    Raises:
        NotTested: there is none.
    """
    start, left = _over_units(bare.isel(step=0, drop=True)), _over_units(end)
    share = (left / start).where(start >= forgetting.LEAST_HELD).reset_coords(drop=True)
    lost: xr.DataArray = share < KEPT_WITHOUT
    if share.isnull().all():
        raise NotTested("no size holds anything that protection could keep")
    if not lost.any():
        raise NotTested(
            f"every size keeps {float(share.min()):.2g} of its level or more without protection, "
            f"where less than {KEPT_WITHOUT:g} would show what protection does"
        )
    return lost


def _over_protected(results: xr.Dataset, another: bool, statistic: Any) -> xr.DataArray:
    """Mean over protected branches and grid points of a statistic of them.

    Raises:
        NotTested: none can test the claim; the reason is the last one's.
    """
    require(results, "turn")
    found, reason = [], "no run has finished"
    for place in _protected(results, another):
        try:
            found.append(statistic(*place))
        except NotTested as refusal:
            reason = str(refusal)
    if not found:
        raise NotTested(reason)
    mean: xr.DataArray = _mean(found)
    return mean


def _kept(results: xr.Dataset) -> xr.DataArray:
    """Level at the end of a protected branch over that at its start, of sizes that forget."""

    def share(name: str, bare: str, point: xr.Dataset, own: xr.Dataset | None) -> xr.DataArray:
        kept, without = (branches.above(point, each, own) for each in (name, bare))
        end, left = _common_end(kept, without)
        lost = _forgotten(without, left)
        start = kept.isel(step=0, drop=True).reset_coords(drop=True)
        each = intervals.ratio(end.isel(size=lost.values), start.isel(size=lost.values))
        return each.mean("size", skipna=False)

    return _over_protected(results, False, share)


def _of_another(results: xr.Dataset) -> xr.DataArray:
    """Level at the end where another task is protected, less that where nothing is."""

    def distance(name: str, bare: str, point: xr.Dataset, own: xr.Dataset | None) -> xr.DataArray:
        # Raw: protection of a sham raises the sham's own level, which is nothing to take off.
        raw = (branches.level(point, each) for each in (name, bare))
        without = branches.above(point, bare, own)
        other, alone, left = _common_end(*raw, without)
        lost = _forgotten(without, left)
        apart: xr.DataArray = abs(other - alone).isel(size=lost.values)
        return apart.max("size", skipna=False)

    return _over_protected(results, True, distance)


def _savings(results: xr.Dataset) -> xr.Dataset:
    """Least and greatest difference of savings, largest minus smallest size."""
    require(results, "turn")
    require_sizes(results)
    pairs = branches.relearned(results)
    if not pairs:
        raise NotTested(
            "the study has no branch in which the task is shown again after a quiet one"
        )
    found, reason = [], "no run has finished"
    for first, again in pairs:
        for point in branches.points(results):
            learning, second = (
                branches.level(point, name).isel(size=[0, -1]) for name in (first, again)
            )
            if not (learning.sizes["step"] > 1 and second.sizes["step"] > 1):
                reason = f"no stream has finished both branch {first} and branch {again}"
                continue
            each = savings.savings(learning, second, LEARNED)[["low", "high"]]
            small, large = (each.isel(size=i).reset_coords(drop=True) for i in (0, -1))
            found.append(
                xr.Dataset({"least": large.low - small.high, "most": large.high - small.low})
            )
    if not found:
        raise NotTested(reason)
    return _mean(found)


CLAIMS = (
    Claim(
        name="larger_forgets_slower",
        statement="Once the batches go on without the task, a large student takes more than twice "
        "the steps of a small one to lose half of what it had.",
        source="our own",
        statistic="log2 of the steps until the level above the control, or a sham, is half of that "
        "at the state where the branch goes on without the task: largest size minus the smallest "
        f"that on the mean starts within {APART:g} of it, at {forgetting.LEAST_HELD:g} or more; "
        "mean over such branches and grid points. Of a half-life beyond the measured steps these "
        "are its least value.",
        relation=">",
        threshold=1.0,
        compute=_half_lives,
        account="retention",
        against="From an equal level the large student's half-life is at most twice the small "
        "one's. Where it is longer, equal levels may still have been trained unequally long.",
        branches=True,
    ),
    Claim(
        name="larger_forgets_slower_once_known",
        statement="Also from the state in which each student first knows the task, a large one "
        "takes more than twice the steps of a small one to lose half of what it had.",
        source="our own",
        statistic="log2 of the steps until the level above the control, or a sham, is half of that "
        "at the start, along the earliest branch without the task at whose start the student's "
        f"level is {LEARNED:g}: largest size minus the smallest of which every student gets there, "
        "mean over grid points. Of a half-life beyond the measured steps these are its least "
        "value.",
        relation=">",
        threshold=1.0,
        compute=_once_known,
        account="retention",
        against="From where each first knows the task the large student's half-life is at most "
        "twice the small one's: what is longer after equal exposure was shown for longer.",
        branches=True,
    ),
    Claim(
        name="protection_keeps_the_level",
        statement="A student whose task is protected keeps it while the batches go on without it.",
        source="our own check of the protection",
        statistic="Level above the control, or a sham, at the last step of a branch without the "
        "task in which it is protected, over that at its start: mean over streams by mean, over "
        f"sizes that keep less than {KEPT_WITHOUT:g} of {forgetting.LEAST_HELD:g} or more at that "
        "step without protection, branches and grid points.",
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
        statistic="Distance of the levels at the last step that the branch shares with that from "
        "the same state without protection, at the size where it is largest, of those that keep "
        f"less than {KEPT_WITHOUT:g} of {forgetting.LEAST_HELD:g} or more there without it; mean "
        "over branches and grid points.",
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
