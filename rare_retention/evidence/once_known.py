"""Forgetting from the state in which each student first knows the task.

After equal exposure a large student has been shown the task long after it knew it, and a small one
may just have learned it. What is trained on for longer may last longer, whatever the size: here
each student goes on without the task from the earliest branch at whose start it knows it.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rare_retention.evidence import branches, forgetting

_KEPT = ("start", "half_life", "censored")


def curves(
    point: xr.Dataset, own: xr.Dataset | None, names: Sequence[str], known: float
) -> xr.Dataset:
    """Half-life of each student along the earliest branch that begins with the task known.

    Args:
        point: of a study's grid, with the dimension `branch`.
        own: its control, as from `branches.pairs`.
        names: of branches that go on without the task, from states of one run.
        known: raw level from which on the task counts as known.

    Returns:
        `start`, `half_life` and `censored` as of `forgetting.curves`, and `turn`, the step at which
        the chosen branch goes on; NaN for a student that knows the task where no branch begins.
        `known` is 0 for these, 1 for others, and NaN where a branch is missing, as all else is.
    """
    turns = {name: point["turn"].sel({branches.DIM: name}, drop=True) for name in names}
    found: xr.Dataset | None = None
    starts = [branches.level(point, name).isel(step=0, drop=True) for name in names]
    whole = np.logical_and.reduce([start.notnull() for start in starts])
    for name in sorted(names, key=lambda name: -float(turns[name].mean())):
        each = forgetting.curves(branches.above(point, name, own))[list(_KEPT)]
        each = each.assign(turn=turns[name].broadcast_like(each["start"]))
        held = starts[names.index(name)] >= known
        blank = each.where(False) if found is None else found
        found = xr.where(held, each.astype(np.float64), blank.astype(np.float64))
    if found is None:
        raise ValueError("expected a branch, got none")
    found = found.assign(known=found["half_life"].notnull().astype(np.float64)).where(whole)
    return found.assign(censored=found["censored"] > 0)
