"""Counts with their nouns."""

import pytest

from rare_retention.wording import plural


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1200, "1,200 runs")]
)
def test_a_noun_follows_its_count(count, expected):
    assert plural(count, "run") == expected
