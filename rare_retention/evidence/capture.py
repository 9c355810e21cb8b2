"""What the students captured of each task against what Theorem 3 says they would.

Each function takes one point of a study's grid, as from `states.points` and
`states.without_shams`, whose tasks are not withheld, and reads the final states. Signals are raw
captured shares s_k.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from rare_retention.evidence import states
from rare_retention.theory import interference, utility
from rare_retention.theory.checks import Array, IntArray, checked_count

LEVELS = (1, 2, 3)
"""Features m whose staircases N*_k(m) the paper draws (Fig. 2a)."""


def cut(prior: ArrayLike, spectra: ArrayLike, width: int) -> tuple[IntArray, IntArray, int]:
    """How many features of each task the best student of width N retains (Theorem 3).

    It retains the N features of largest utility pi_k lambda_{k,j}. Where utilities are equal, to
    a relative 1e-9, at the N-th place, several students are best.

    Args:
        prior: frequencies [K].
        spectra: eigenvalues [K, d_T].
        width: N.

    Returns:
        How many features of each task every best student retains [K]; how many more of each, the
        next ones, some of them retain [K]; and how many of these any one best student retains.
    """
    value = utility.utilities(prior, spectra)
    useful = np.sort(value[value > 0])[::-1]
    slots = min(checked_count("width", width), len(useful))
    if slots == 0:
        return np.zeros(len(value), np.int64), np.zeros(len(value), np.int64), 0
    least = useful[slots - 1]
    certain = np.sum(value > least * (1 + utility.TIE_RTOL), axis=1)
    tied = np.sum(value >= least * (1 - utility.TIE_RTOL), axis=1) - certain
    free = slots - int(certain.sum())
    if free == tied.sum():
        return certain + tied, np.zeros_like(tied), 0
    return certain, tied, free


def nearest_optimum(signal: ArrayLike, prior: ArrayLike, spectra: ArrayLike, width: int) -> Array:
    """Captured shares [..., K] of the width-N optimum nearest to observed ones (Theorem 3).

    Where utilities tie at the cut, every subspace of the tied directions is optimal: the tied tasks
    share the last places in any proportion, as whole features (`utility.optima`) or as parts of
    them. Nearest is the one of least summed absolute difference.

    Args:
        signal: observed s_k [..., K].
        prior: frequencies [K].
        spectra: eigenvalues [K, d_T].
        width: N.
    """
    values = np.asarray(spectra, np.float64)
    observed = np.asarray(signal, np.float64)
    certain, tied, free = cut(prior, values, width)
    base = utility.predicted_signal(values, certain)
    result = np.broadcast_to(base, observed.shape).copy()
    tasks = np.flatnonzero(tied)
    # One tied feature adds this to its task's share. Moving places between tasks costs least where
    # this is small, so those tasks give and take first.
    piece = values[tasks, certain[tasks]] / values[tasks].sum(1)
    tasks, piece = tasks[np.argsort(piece)], np.sort(piece)
    room = tied[tasks].astype(np.float64)
    taken = np.clip((observed[..., tasks] - base[tasks]) / piece, 0, room)
    open_places = free - taken.sum(-1)
    for i in range(len(tasks)):
        moved = np.clip(open_places, -taken[..., i], room[i] - taken[..., i])
        taken[..., i] += moved
        open_places = open_places - moved
    result[..., tasks] += taken * piece
    return result


def shares(point: xr.Dataset) -> xr.Dataset:
    """Observed and predicted final captured shares of each student (Fig. 2b).

    Returns:
        `observed` and `predicted`, the nearest optimum [stream, initialisation, size, task];
        `count` n_k(N) [size, task], ties to the more frequent task; `ambiguous` [size, task],
        whether a tie at the cut leaves that count open.
    """
    prior, spectra = states.mixture(point)
    widths = point["width"].to_numpy().tolist()
    observed = states.final(point["signal"]).transpose(..., "size", "task")
    each = [
        nearest_optimum(observed.isel(size=i).to_numpy(), prior, spectra, n)
        for i, n in enumerate(widths)
    ]
    count = np.stack([utility.retained(prior, spectra, n) for n in widths])
    ambiguous = np.stack([cut(prior, spectra, n)[1] > 0 for n in widths])
    return xr.Dataset(
        {
            "observed": observed,
            "predicted": observed.copy(data=np.stack(each, axis=-2)),
            "count": (("size", "task"), count),
            "ambiguous": (("size", "task"), ambiguous),
        }
    )


def level_thresholds(spectra: ArrayLike, levels: Sequence[int] = LEVELS) -> Array:
    """Signals [m, K] from which a task counts as learned to level m.

    Half way between the predicted signals with m - 1 and with m features; NaN where the task has no
    m-th feature.
    """
    values = np.asarray(spectra, np.float64)
    tasks, directions = values.shape
    rows = np.full((len(levels), tasks), np.nan)
    for i, m in enumerate(levels):
        if m <= directions:
            pair = np.array([m - 1, m])[:, None] * np.ones(tasks, np.int64)
            rows[i] = utility.predicted_signal(values, pair).mean(0)
            rows[i, values[:, m - 1] == 0] = np.nan
    return rows


def levels_learned(point: xr.Dataset, levels: Sequence[int] = LEVELS) -> xr.Dataset:
    """Which cells (task, width) are learned to level m, and which should be (Fig. 2a).

    Returns:
        `observed` [level, stream, initialisation, size, task] is 1 or 0, NaN for missing students;
        `predicted` [level, size, task] is N >= N*_k(m); `judged` [level, size, task] leaves out
        levels that a task does not have and cells whose count a tie at the cut leaves open.
    """
    prior, spectra = states.mixture(point)
    found = shares(point)
    limits = level_thresholds(spectra, levels)
    level = xr.DataArray(list(levels), dims="level", name="level")
    thresholds = xr.DataArray(limits, {"level": level, "task": point["task"]}, ("level", "task"))
    needed = thresholds.copy(data=np.stack([utility.staircase(prior, spectra, m) for m in levels]))
    learned = (found["observed"] > thresholds).astype(np.float64)
    learned = learned.where(found["observed"].notnull())
    cells = ("level", "size", "task")
    return xr.Dataset(
        {
            "observed": learned.transpose("level", ..., "size", "task"),
            "predicted": ((needed > 0) & (needed <= point["width"])).transpose(*cells),
            "judged": (thresholds.notnull() & ~found["ambiguous"]).transpose(*cells),
        }
    )


def staircase_agreement(point: xr.Dataset, levels: Sequence[int] = LEVELS) -> xr.DataArray:
    """Share of cells (task, width) on the right side of N*_k(m) [level, stream, initialisation].

    NaN for units that miss a size, and for levels that no task has.
    """
    cells = levels_learned(point, levels)
    right = (cells["observed"] == cells["predicted"]).astype(np.float64)
    share: xr.DataArray = right.where(cells["judged"]).mean(("size", "task"))
    return share.where(cells["observed"].notnull().all(("level", "size", "task")))


def against_residual(point: xr.Dataset, frequent: int = 3) -> xr.Dataset:
    """What Figure 3 of the paper draws: captured shares of tasks against the common residual.

    Args:
        point: results at one point of a study's grid, with `signal`, the captured share s_k of each
            task, and `residual`, what the common tasks F still lack, delta_F(U).
        frequent: how many of the most frequent tasks are kept.

    Returns:
        At the last measured step: `frequent`, signals of those tasks [stream, size, initialisation,
        task]; `rare`, the signal of the rarest watched task, and `residual`, both [stream, size,
        initialisation]. `line`: the residual delta*_F(N_r^crit) of Proposition 6 below which that
        task can be kept, a number; NaN where it is itself one of the common tasks.
    """
    prior, spectra = states.mixture(point)
    rare = states.rarest(point)
    place = point["task"].to_numpy().tolist().index(rare)
    common = utility.common_set(prior)
    line = np.nan
    if place not in common:
        line = interference.critical_residual(prior, spectra, common, place)
    signal = states.final(point["signal"])
    return xr.Dataset(
        {
            "frequent": signal.isel(task=slice(frequent)),
            "rare": signal.sel(task=rare, drop=True),
            "residual": states.final(point["residual"]),
            "line": line,
        }
    )


def empirical_widths(signal: xr.DataArray, threshold: float = 0.5) -> xr.DataArray:
    """First width of the grid at which each signal exceeds a threshold (Fig. 18).

    0 where it does at no width, NaN where a width is missing.
    """
    above = signal > threshold
    widths = signal["width"].reset_coords(drop=True).drop_vars("size")
    first = widths.isel(size=above.argmax("size"))
    return first.where(above.any("size"), 0).where(signal.notnull().all("size"))


def rank_one_widths(point: xr.Dataset) -> xr.Dataset:
    """Empirical widths of tasks of one direction, and the first of the grid that suffice (Fig. 18).

    Returns:
        `empirical` [stream, initialisation, task] and `predicted` [task]; 0 means that no width of
        the grid does.
    """
    needed = utility.staircase(*states.mixture(point), 1)
    predicted = utility.first_on_grid(needed, point["width"].to_numpy())
    return xr.Dataset(
        {
            "empirical": empirical_widths(states.final(point["signal"])),
            "predicted": ("task", predicted),
        }
    )
