"""Counts with their nouns, and time spans."""

import pytest

from rare_retention.wording import duration, plural


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1200, "1,200 runs")]
)
def test_a_noun_follows_its_count(count, expected):
    assert plural(count, "run") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (7500, "2h 05m"),
        (48 * 3600, "2d 00h"),
    ],
)
def test_a_time_span_is_told_in_two_units(seconds, expected):
    assert duration(seconds) == expected
