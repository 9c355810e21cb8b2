"""Branches: runs that go on from a state of another run, with something changed.

One training, many counterfactuals: what a branch does otherwise than the run that it goes on from
is the effect of what was changed, since both start from the same weights and see the same batches.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rare_retention.config import ConfigError, Positive, config, override
from rare_retention.experiment import Run, turned
from rare_retention.settings.mixture import rarest_watched
from rare_retention.study.axes import Value, overlap

TRUNK = "trunk"
"""Name, along the dimension `branch` of the results, of the runs that go on from no other."""

_LEFT_OUT = "exposure.left_out"
_FIXED = ("stream", "steps", "turns", "held")


@config
class Change:
    """A field of the run and its value in a branch.

    Attributes:
        field: dotted path below the run, such as "exposure.left_out".
        value: what it is.
    """

    field: str
    value: Value


@config
class Branch:
    """A continuation of every run of a study from one of its own whole states.

    Weights, optimizer and rule go on as they are there. Batches are those of the same steps, unless
    a change tells otherwise.

    Attributes:
        name: of the branch, its place along `branch` in the results.
        of: name of the branch that it goes on from; "trunk" are the runs of the grid.
        at: step of the state.
        after_exposure: in place of `at`, the state just after this exposure of the rarest watched
            task, counted from 0; -1 is the last.
        steps: updates of the branch.
        changes: fields that differ, such as the exposure, the optimizer, the rule or when it is
            measured.
    """

    name: str
    of: str = TRUNK
    at: Positive | None = None
    after_exposure: int | None = None
    steps: Positive
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        if self.name in ("", TRUNK):
            raise ConfigError("name", f"expected a name of its own, got {self.name!r}")
        if (self.at is None) == (self.after_exposure is None):
            raise ConfigError("at", "expected either `at` or `after_exposure`, one of them")
        paths = [change.field for change in self.changes]
        for i, path in enumerate(paths):
            if path.partition(".")[0] in _FIXED:
                raise ConfigError(
                    f"changes[{i}].field", f"{path} is the same in a run and its branches"
                )
            if path in paths[:i]:
                raise ConfigError(f"changes[{i}].field", f"{path} is changed twice")


def check(branches: Sequence[Branch], places: Sequence[str]) -> None:
    """Checks the branches of a study against each other and against its grid.

    Args:
        branches: of the study.
        places: fields of the run that say where it stands in the results.

    Raises:
        ConfigError: a name is taken, one goes on from what stands after it, or changes its place.
    """
    known = [TRUNK]
    for i, branch in enumerate(branches):
        if branch.name in known:
            raise ConfigError(f"branches[{i}].name", f"{branch.name!r} is taken")
        if branch.of not in known:
            raise ConfigError(
                f"branches[{i}].of",
                f"there is no {branch.of!r} before it; expected one of {', '.join(known)}",
            )
        known.append(branch.name)
        for j, change in enumerate(branch.changes):
            _check_place(f"branches[{i}].changes[{j}].field", branch, change.field, places)


def _check_place(where: str, branch: Branch, changed: str, places: Sequence[str]) -> None:
    """Refuses a change that would leave a run in the results where it no longer belongs.

    A task may be left out beside a control that was never shown it: the axis says what was shown up
    to there. In the other direction the control would be none.
    """
    if changed == _LEFT_OUT and any(c.field == _LEFT_OUT and c.value for c in branch.changes):
        return
    for place in places:
        if overlap(changed, place):
            raise ConfigError(
                where,
                f"branch {branch.name!r} changes {changed}, but {place} says where its run stands "
                "in the results; leave it as it is there, or make a study of its own for it",
            )


def start(branch: Branch, run: Run, exposures: Sequence[int]) -> int:
    """Step of the state from which a branch goes on.

    Args:
        branch: which.
        run: that it goes on from.
        exposures: steps of the batches that hold the rarest watched task, up to the run's end.

    Raises:
        ConfigError: the run has no such state.
    """
    if branch.at is not None:
        step, what = branch.at, "at"
    else:
        count, n = len(exposures), branch.after_exposure or 0
        if not -count <= n < count:
            raise ConfigError("after_exposure", f"{n}, but the run has {count} exposures")
        step, what = exposures[n] + 1, "after_exposure"
    if not run.start < step <= run.steps:
        raise ConfigError(
            what,
            f"step {step:,} is none of the run's; expected above {run.start:,}, at most "
            f"{run.steps:,}",
        )
    return step


def exposures(run: Run, before: Sequence[int] = ()) -> list[int]:
    """Steps of the batches of a run that hold its rarest watched task.

    Of a control, which is never shown it, those that would: its branches stand beside those of the
    runs whose control it is.

    Args:
        run: which.
        before: the same of the run that it goes on from.
    """
    rare, schedule = rarest_watched(run.setting), run.schedule()
    if not run.turns and rare in schedule.left_out:
        schedule = replace(run, exposure=run.exposure.whole).schedule()
    own = schedule.exposures(run.start, run.steps, rare)
    return [step for step in before if step < run.start] + np.asarray(own).tolist()


def going_on(branch: Branch, run: Run, step: int) -> Run:
    """The run of a branch.

    Args:
        branch: which.
        run: that it goes on from.
        step: of the state.

    Raises:
        ConfigError: a change does not fit its field.
    """
    changes: dict[str, Any] = {change.field: change.value for change in branch.changes}
    changes |= {"steps": step + branch.steps, "snapshots.states": ()}
    return turned(run, step, override(run, changes))


def check_turn(branch: Branch, run: Run, places: Sequence[str]) -> None:
    """Checks that a run of a branch stands where the one that it goes on from does.

    A change of a `kind` sets the other fields of its group back.

    Args:
        branch: which.
        run: of it, see `going_on`.
        places: as in `check`.

    Raises:
        ConfigError: it does not.
    """
    for line in run.turns[-1].changed:
        _check_place("changes", branch, line.partition(": ")[0], places)
