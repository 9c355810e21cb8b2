"""Claims on what is captured: staircases, the rare task's onset, capacity, complexity."""

import numpy as np
import xarray as xr

from rare_retention.evidence import capture, states
from rare_retention.study.claims.claim import Claim, NotTested, counted, over_points, require
from rare_retention.theory import utility

_NEEDED = ("signal", "frequency", "spectrum")


def _staircase(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED)
    cells: list[int] = []

    def agreement(point: xr.Dataset) -> xr.DataArray:
        point = _mixed(point)
        share = capture.staircase_agreement(point)
        judged = capture.levels_learned(point)["judged"].sum(("size", "task"))
        cells.append(int(judged.where(judged > 0).min()))  # of the least level that tasks have
        return share

    shares = over_points(results, agreement)
    # Levels that no task has are NaN for all; units that miss a size are NaN at every level.
    return counted(shares.mean("point", skipna=False).min("level"), cells)


def _prediction(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED)
    return over_points(results, lambda point: _worst_error(_mixed(point))).max(
        "point", skipna=False
    )


def _rare_right_of_line(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED, "residual", "watch")

    def mean(point: xr.Dataset) -> xr.DataArray:
        found = _onset(_mixed(point))
        right = found["residual"] > found["line"]
        if not right.any():
            raise NotTested("no student ends with a residual right of the line")
        rare: xr.DataArray = found["rare"].where(right).mean("size")
        return rare.where(states.complete(found["rare"]))

    return over_points(results, mean).mean("point", skipna=False)


def _rare_of_widest(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED, "residual", "watch")

    def widest(point: xr.Dataset) -> xr.DataArray:
        point = _mixed(point)
        found = _onset(point)
        prior, spectra = states.mixture(point)
        width = int(point["width"][-1])
        given = utility.predicted_signal(spectra, utility.retained(prior, spectra, width))
        rare = float(given[point["task"].to_numpy() == states.rarest(point)][0])
        if rare <= 0.5:
            raise NotTested(
                f"Theorem 3 gives the widest student, {width}, a share of {rare:.2g} of the rare "
                "task: too narrow"
            )
        return found["rare"].isel(size=-1, drop=True)

    return over_points(results, widest).mean("point", skipna=False)


def _rank_one(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED)

    cells: list[int] = []

    def agreement(point: xr.Dataset) -> xr.DataArray:
        point = _mixed(point)
        directions = np.sum(states.mixture(point)[1] > 0, axis=1)
        if np.any(directions != 1):
            raise NotTested(f"tasks have up to {directions.max()} directions, not one")
        widths = capture.rank_one_widths(point)
        same = (widths["empirical"] == widths["predicted"]).mean("task")
        cells.append(point.sizes["task"])
        return same.where(states.complete(widths["empirical"]))

    return counted(over_points(results, agreement).mean("point", skipna=False), cells)


def _above_capacity(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED)

    def mean(point: xr.Dataset) -> xr.DataArray:
        point = _mixed(point)
        final = states.final(point["signal"])
        above = final.where(_out_of_reach(point)).mean(("size", "task"))
        return above.where(states.complete(final))

    return over_points(results, mean).mean("point", skipna=False)


def _late_rise(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED)

    def largest(point: xr.Dataset) -> xr.DataArray:
        point = _mixed(point)
        rise = states.final(point["signal"]) - states.halfway(point["signal"])
        greatest: xr.DataArray = rise.where(_out_of_reach(point)).max(("size", "task"))
        return greatest.where(states.complete(rise))

    return over_points(results, largest).max("point", skipna=False)


def _complexity_error(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED)

    def error(point: xr.Dataset) -> xr.DataArray:
        point = _mixed(point)
        _inverted(point)
        return _worst_error(point)

    return over_points(results, error).max("point", skipna=False)


def _inversions_seen(results: xr.Dataset) -> xr.DataArray:
    require(results, *_NEEDED)

    inversions: list[int] = []

    def seen(point: xr.Dataset) -> xr.DataArray:
        cells, pairs = _inverted(_mixed(point))
        inversions.append(int(pairs.sum()))
        levels = cells["observed"].fillna(0).sum("level")
        same = _rarer_has_more(levels).where(pairs).mean(("size", "task", "rarer"))
        return same.where(states.complete(cells["observed"].max("level", skipna=False)))

    return counted(over_points(results, seen).mean("point", skipna=False), inversions)


def _mixed(point: xr.Dataset) -> xr.Dataset:
    """The tasks of a point's mixture, if none is withheld there: of these Theorem 3 speaks."""
    require(point, "is_withheld")
    point = states.without_shams(point)
    if (point["is_withheld"] == 1).any():
        raise NotTested("tasks are withheld between bursts")
    return point


def _worst_error(point: xr.Dataset) -> xr.DataArray:
    """Largest over sizes of the mean over tasks of |observed - predicted| captured share."""
    found = capture.shares(point)
    error = abs(found["observed"] - found["predicted"])
    worst: xr.DataArray = error.mean("task", skipna=False).max("size", skipna=False)
    return worst


def _onset(point: xr.Dataset) -> xr.Dataset:
    found = capture.against_residual(point)
    if np.isnan(found["line"]):
        raise NotTested("the rarest watched task is one of the common ones")
    return found


def _out_of_reach(point: xr.Dataset) -> xr.DataArray:
    """Cells [size, task] to which every optimum gives no feature."""
    found = capture.shares(point)
    cells: xr.DataArray = (found["count"] == 0) & ~found["ambiguous"]
    if not cells.any():
        raise NotTested("no student is too narrow for any task")
    return cells


def _inverted(point: xr.Dataset) -> tuple[xr.Dataset, xr.DataArray]:
    """Cells, and pairs [size, task, rarer] of which the rarer task should be learned further."""
    cells = capture.levels_learned(point)
    sure = cells["judged"].any("level")
    pairs = _rarer_has_more(cells["predicted"].sum("level"))
    pairs = pairs & sure & sure.rename(task="rarer")
    if not pairs.any():
        raise NotTested("no rarer task is predicted to be learned further than a more frequent one")
    return cells, pairs


def _rarer_has_more(levels: xr.DataArray) -> xr.DataArray:
    """Whether of two tasks the rarer, along `rarer`, is learned to a higher level.

    Args:
        levels: with the dimension `task`, the most frequent first.
    """
    names = levels["task"]
    place = xr.DataArray(np.arange(len(names)), {"task": names}, ("task",))
    other, behind = levels.rename(task="rarer"), place.rename(task="rarer")
    more: xr.DataArray = (other > levels) & (behind > place)
    return more


CLAIMS = (
    Claim(
        name="staircase",
        statement="A task is learned to m features once the student reaches the width N*_k(m).",
        source="Theorem 3, Figs. 2a, 13, 17",
        statistic="Share of cells (task, width) whose final signal lies on the predicted side of "
        "half way between m - 1 and m features, the least over m = 1, 2, 3; cells whose count a "
        "tie at the cut leaves open do not count.",
        relation=">=",
        threshold=0.9,
        compute=_staircase,
        account="capacity",
        against="Tasks appear at other widths than N*_k(m): wider ones, or in another order.",
        bounds=(0, 1),
    ),
    Claim(
        name="prediction",
        statement="The features of largest utility give the captured share of every task.",
        source="Theorem 3, Figs. 2b, 14",
        statistic="Mean over tasks of |observed - predicted| final captured share, nearest of the "
        "optima, at the width and grid point where it is largest.",
        relation="<=",
        threshold=0.03,
        compute=_prediction,
        account="capacity",
        against="At some width a task has a share that no optimum of the mixture gives it.",
        bounds=(0, 1),
    ),
    Claim(
        name="rare_signal_right_of_line",
        statement="A student that leaves more of the common tasks than delta*_F(N_r^crit) does not "
        "learn the rare task.",
        source="Proposition 6, Figs. 3, 15, 19",
        statistic="Mean final signal of the rarest watched task over the widths whose final "
        "residual is above delta*_F(N_r^crit).",
        relation="<=",
        threshold=0.25,
        compute=_rare_right_of_line,
        account="capacity",
        against="Students whose common residual is above the line have learned the rare task "
        "all the same.",
        bounds=(0, 1),
    ),
    Claim(
        name="rare_signal_left_of_line",
        statement="The rare task is learned by a student wide enough for the common ones and it.",
        source="Figs. 3, 15, 19",
        statistic="Final signal of the rarest watched task in the widest student, if Theorem 3 "
        "gives that one more than half of the task.",
        relation=">=",
        threshold=0.5,
        compute=_rare_of_widest,
        account="capacity",
        against="A student to which Theorem 3 gives the rare task does not learn it: room is "
        "not what it lacks.",
        bounds=(0, 1),
    ),
    Claim(
        name="rank_one_staircase",
        statement="Of tasks of one direction the k-th most frequent needs width k.",
        source="Sec. 3, Fig. 18",
        statistic="Share of tasks whose first width with a final signal above 0.5 is the first "
        "width of the grid that is at least N*_k(1).",
        relation=">=",
        threshold=0.9,
        compute=_rank_one,
        account="capacity",
        against="Tasks of one direction appear at widths that do not count the more frequent ones.",
        bounds=(0, 1),
    ),
    Claim(
        name="above_capacity_unlearned",
        statement="Tasks beyond a student's capacity stay unlearned.",
        source="Fig. 21",
        statistic="Mean final signal over cells (task, width) to which every optimum gives no "
        "feature.",
        relation="<=",
        threshold=0.1,
        compute=_above_capacity,
        account="capacity",
        against="Students hold tasks for which the optimum of their width has no feature.",
        bounds=(0, 1),
    ),
    Claim(
        name="above_capacity_flat",
        statement="Longer training does not bring in tasks beyond a student's capacity.",
        source="Fig. 21",
        statistic="Largest rise of the signal over the second half of the run, among cells (task, "
        "width) to which every optimum gives no feature.",
        relation="<=",
        threshold=0.1,
        compute=_late_rise,
        account="capacity",
        against="With twice the steps a student brings in a task for which its optimum has no "
        "feature: it lacked time, not room.",
        bounds=(-1, 1),
    ),
    Claim(
        name="complexity_prediction",
        statement="Utility gives the captured shares also where complexity upsets the order of "
        "frequency.",
        source="Figs. 12-16",
        statistic="As `prediction`, at grid points where a rarer task is predicted to be learned "
        "to a higher level m = 1, 2, 3 than a more frequent one.",
        relation="<=",
        threshold=0.05,
        compute=_complexity_error,
        account="capacity",
        against="Where tasks differ in complexity some have shares that no optimum of the "
        "mixture gives them.",
        bounds=(0, 1),
    ),
    Claim(
        name="complexity_inversion",
        statement="With tasks of unequal complexity the order of learning is not that of "
        "frequency.",
        source="Figs. 12-16",
        statistic="Share of the predicted inversions that are seen: at a width, a rarer task is "
        "learned to a higher level m = 1, 2, 3 than a more frequent one.",
        relation=">=",
        threshold=0.8,
        compute=_inversions_seen,
        account="capacity",
        against="The more frequent task is learned further although the rarer one has the "
        "larger utility.",
        bounds=(0, 1),
    ),
)
