"""A placement of a file of its own: what it says by itself, and what follows from it."""

from typing import Literal

import numpy as np
import pytest

from rare_retention.config import ConfigError, config
from rare_retention.schedule.placement import Asked, Placement, Placing, Wording
from rare_retention.schedule.schedule import Schedule


@config
class Late(Placing):
    """The last task has every slot from a step on, and none before."""

    placement: Literal["late"] = "late"
    start: int = 10

    def place(self, asked):
        if self.start < 1:
            raise ConfigError("exposure.start", f"expected at least 1, got {self.start}")
        return Start(asked, self.start)


class Start(Placement):
    def __init__(self, asked, start):
        self._asked, self._start = asked, start

    def counts(self, step):
        late = self._asked.batch * (step >= self._start)
        return [self._asked.batch - late, late]

    def before(self, step, task):
        late = max(step - self._start, 0) * self._asked.batch
        return late if task else step * self._asked.batch - late

    def rate(self, task):
        return float(self._asked.shares[task])


class Counted(Start):
    """The same, of which nobody knows beforehand."""

    drawn = frozenset({0, 1})
    before = Placement.before


@pytest.fixture(params=[Start, Counted], ids=["closed form", "counted"])
def schedule(request, monkeypatch):
    monkeypatch.setattr(Late, "place", lambda self, asked: request.param(asked, self.start))
    return Schedule([0.5, 0.5], 4, Late(start=5), seed=1)


def test_all_else_follows_from_the_counts(schedule):
    assert schedule.counts(4).tolist() == [4, 0] and schedule.counts(5).tolist() == [0, 4]
    assert schedule.rows(7).tolist() == [1] * 4
    assert schedule.shown(8).tolist() == [20, 12]
    assert schedule.next_exposure(1, 0) == 5 and schedule.next_exposure(1, 9) == 9
    assert schedule.exposures(0, 8, -1).tolist() == [5, 6, 7]
    history = schedule.history(6, [1])
    assert history.exposures[0].steps.tolist() == [5, 6] and history.shown.tolist() == [20, 4]
    assert (schedule.withheld, schedule.gap) == ((), 1)


def test_without_a_closed_form_a_placement_draws():
    with pytest.raises(NotImplementedError, match="Counted draws its tasks, or says how many"):
        Counted(Asked((), 4, 0), 3).before(1, 0)


def test_words_of_messages_go_below_a_group():
    wording = Wording(("a", "b[1]"), 0.5, 2, "room").below("setting")
    assert wording == Wording(("setting.a", "setting.b[1]"), 0.5, 2, "setting.room")
    assert Wording().below("setting") == Wording()
    assert Asked((), 4, 0).unit == "rows" and Asked((), 4, 0, wording).unit == "slots"


def test_by_default_there_is_no_gap():
    assert Late().steps_between == 1
    np.testing.assert_equal(Start(Asked((), 4, 0), 1).cycle(0), 1)
