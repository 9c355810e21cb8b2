import pytest

from rare_retention.train.pace import AHEAD, Pace


class Clock:
    """A clock that stands still unless it is told otherwise."""

    now = 0.0

    def __call__(self):
        return self.now


class Result:
    """A result that is there after some seconds from when it is waited for."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.waited = clock, seconds, 0

    def block_until_ready(self):
        self.clock.now += self.seconds
        self.waited += 1


def test_a_call_takes_as_many_steps_as_fit_into_the_limit():
    clock = Clock()
    pace = Pace(limit=8.0, clock=clock)
    assert pace.steps(1000) == 1  # nothing is known
    pace.called(Result(clock, 30.0), 1)  # with its compilation
    assert pace.seconds == 30.0 and pace.steps(1000) == 1
    pace.called(Result(clock, 0.5), 1)
    pace.called(Result(clock, 0.25), 1)  # at which the one before is waited for as well
    assert pace.seconds == 0.25 or pace.seconds == 0.5
    assert pace.steps(1000) == int(8.0 / pace.seconds)
    assert pace.steps(3) == 3


def test_a_step_longer_than_the_limit_is_a_call_of_its_own():
    clock = Clock()
    pace = Pace(limit=8.0, clock=clock)
    for _ in range(3):
        pace.called(Result(clock, 60.0), 1)
        assert pace.steps(1000) == 1


def test_one_slow_call_changes_nothing_and_two_do():
    clock = Clock()
    pace = Pace(limit=8.0, clock=clock)
    for seconds in (1.0, 1.0, 50.0):  # a save, or a compilation
        pace.called(Result(clock, seconds * 2), 2)
    assert pace.seconds == 1.0
    pace.called(Result(clock, 100.0), 2)
    assert pace.seconds == 50.0 and pace.steps(1000) == 1


def test_long_calls_are_waited_for_and_short_ones_run_ahead_by_one():
    clock = Clock()
    pace = Pace(clock=clock)
    pace.called(Result(clock, 0.001), 1)
    first, second, long = Result(clock, 0.01), Result(clock, 0.01), Result(clock, 2 * AHEAD)
    pace.called(first, 10)
    assert first.waited == 0
    pace.called(second, 10)
    assert first.waited == 1 and second.waited == 0
    pace.called(long, int(2 * AHEAD / 0.001))
    assert second.waited == long.waited == 1


@pytest.mark.parametrize("wanted", [1, 7])
def test_a_call_never_goes_beyond_what_is_wanted(wanted):
    clock = Clock()
    pace = Pace(clock=clock)
    pace.called(Result(clock, 1e-6), 1)
    assert pace.steps(wanted) == wanted
