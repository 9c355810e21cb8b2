"""The built-in placements as configs; `test_schedule` has what they count."""

import pytest

from rare_retention.config import ConfigError
from rare_retention.schedule.bursts import Bursts, Exposure
from rare_retention.schedule.placement import Asked
from rare_retention.schedule.schedule import Schedule

ASKED = Asked(Schedule([0.75, 0.25], 8).shares, 8, 3)


@pytest.mark.parametrize(
    ("fields", "drawn", "withheld", "cycles"),
    [
        ({"placement": "iid"}, {0, 1}, (), [1, 1]),
        ({"placement": "even"}, set(), (), [1, 1]),
        ({"placement": "burst", "gap": 4}, {0}, (1,), [1, 4]),
        ({"placement": "burst", "gap": 2, "background": "even"}, set(), (1,), [1, 2]),
    ],
)
def test_each_says_what_is_drawn_and_what_is_withheld(fields, drawn, withheld, cycles):
    placed = Exposure(**fields).place(ASKED)
    assert isinstance(placed, Bursts)
    assert (placed.drawn, placed.withheld) == (drawn, withheld)
    assert [placed.cycle(k) for k in (0, 1)] == cycles
    assert placed.gap == Exposure(**fields).steps_between


def test_before_is_the_sum_of_counts_and_not_for_what_is_drawn():
    placed = Exposure(placement="burst", gap=4, background="even").place(ASKED)
    for task in (0, 1):
        counted = sum(placed.counts(step)[task] for step in range(21))
        assert placed.before(21, task) == counted
    with pytest.raises(ValueError, match="task 0 is drawn"):
        Exposure(placement="burst", gap=4).place(ASKED).before(3, 0)


def test_a_gap_needs_bursts():
    with pytest.raises(ConfigError, match=r"exposure.gap: 3 means nothing to placement 'even'"):
        Exposure(placement="even", gap=3).place(ASKED)
