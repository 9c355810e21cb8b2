"""Cycles found in measured steps and the steps of exposures."""

import numpy as np
import pytest

from rare_retention.evidence import spans


def numbers(found):
    return [cycle.exposure for cycle in found]


def test_states_before_and_after_an_exposure_and_before_the_next_make_a_cycle():
    shown = np.array([7.0, 15, 23, np.nan])
    assert numbers(spans.measured_cycles(np.array([7, 8, 15]), shown)) == [0]
    assert numbers(spans.measured_cycles(np.array([7, 15, 16, 23]), shown)) == [1]


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([0, 7, 8, 9, 12, 15, 16, 40], [[7, 8, 9, 12, 15]]),
        ([7, 8, 15, 16, 23], [[7, 8, 15], [15, 16, 23]]),
        ([7, 8, 9, 10, 11, 12, 15, 16, 23], [[7, 8, 9, 10, 11, 12, 15]]),  # the denser one
        ([7, 8, 9, 12], []),  # ends before the next exposure
        ([8, 9, 15], []),  # nothing just before
    ],
)
def test_a_cycle_goes_from_just_before_an_exposure_to_just_before_the_next(steps, found):
    shown = np.array([7.0, 15, 23, 31, 39])
    dense = spans.dense_cycles(np.array(steps), shown)
    assert [cycle.steps.tolist() for cycle in dense] == found


def test_an_exposure_right_before_another_has_no_cycle():
    found = spans.measured_cycles(np.arange(10), np.array([2.0, 3, 5, 9, np.nan]))
    assert [(c.exposure, c.start, c.length) for c in found] == [(1, 3, 2), (2, 5, 4)]
    assert not spans.measured_cycles(np.arange(10), np.arange(10.0))
    assert not spans.measured_cycles(np.arange(10), np.full(3, np.nan))


def test_four_fifths_of_the_densest_cycle_are_dense_enough():
    """Ten states make the densest; eight are as many as it takes, seven are too few."""
    first, second = (c * 16 + 15 + np.arange(17) for c in range(2))
    shown = np.array([15.0, 31, 47, 63])
    ten = [*first[:9], first[-1]]
    for count, dense in ((8, [0, 1]), (7, [0])):
        some = [*second[: count - 1], second[-1]]
        found = spans.dense_cycles(np.unique([*ten, *some]), shown)
        assert numbers(found) == dense, count
        assert numbers(spans.measured_cycles(np.unique([*ten, *some]), shown)) == [0, 1]


def test_short_cycles_are_dense_by_what_fits_into_them():
    """A cycle of every state of its three steps; a long one of regular states is none."""
    shown = np.array([10.0, 13, 53, 90, 400])
    logarithmic = [0, 1, 2, 3, 5, 9, 17, 33]
    steps = np.unique([10, 11, 12, 13, *(13 + np.array([*logarithmic, 40])), *(53 + np.array(
        [*logarithmic, 37])), 90, 91, 150, 200, 250, 300, 350, 400])  # fmt: skip
    assert numbers(spans.measured_cycles(steps, shown)) == [0, 1, 2, 3]
    assert numbers(spans.dense_cycles(steps, shown)) == [0, 1, 2]


def test_short_cycles_do_not_say_how_densely_long_ones_are_measured():
    """One of all its 9 states is no measure of others with 6 logarithmic ones in as many steps."""
    shown = np.array([10.0, 18, 58, 98])
    logarithmic = [0, 1, 2, 3, 5, 7, 17, 33, 40]
    steps = np.unique(
        [*range(10, 19), *(18 + np.array(logarithmic)), *(58 + np.array(logarithmic))]
    )
    assert numbers(spans.dense_cycles(steps, shown)) == [0, 1, 2]
