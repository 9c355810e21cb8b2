"""Proportions in units of 2^-64, against Python's fractions and against counting."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.schedule.fixed_point import Quotas, as_typed, fixed

shares = st.fractions(0, 1, max_denominator=10**6)
phases = st.integers(0, 2**64 - 1)


def test_a_number_is_the_decimal_that_was_typed():
    assert as_typed(0.1) == Fraction(1, 10)
    assert as_typed(1e-9) == Fraction(1, 10**9)
    assert as_typed(1) == 1


def test_a_share_is_rounded_down():
    assert fixed(Fraction(1)) == 2**64
    assert fixed(Fraction(1, 3)) == 0x5555555555555555
    assert fixed(Fraction(2, 3)) == 0xAAAAAAAAAAAAAAAA  # the nearest one ends in B


@given(shares, st.integers(0, 10**6))
def test_a_whole_number_of_rows_has_no_ceiling_above_it(share, rows):
    quota = Quotas([share], [0])
    assert quota.most(rows) == math.ceil(rows * share)


@given(st.lists(st.tuples(shares, phases), min_size=1, max_size=4), st.integers(0, 10**4))
def test_counts_are_floors_of_shares_and_phases(tasks, rows):
    """floor(n p + phi) in exact fractions, but where p itself is rounded to 2^-64."""
    found = Quotas(*zip(*tasks, strict=True)).at(rows)
    for count, (share, phase) in zip(found, tasks, strict=True):
        exact = rows * share + Fraction(phase, 2**64)
        assert math.floor(exact - Fraction(rows, 2**64)) <= count <= math.floor(exact)


def test_nothing_is_lost_after_a_million_million_rows():
    """There a float share has lost rows, and 1/3 in 64 bits a ten-millionth of one."""
    rows = 3 * 10**12
    assert Quotas([Fraction(1, 3)], [1 << 63]).at(rows) == [10**12]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.fractions(0, 1, max_denominator=9), phases), min_size=1, max_size=3),
    st.integers(0, 12),
)
def test_no_window_has_fewer_or_more_rows_than_the_limits(tasks, rows):
    quotas = Quotas(*zip(*tasks, strict=True))
    windows = [sum(quotas.at(start + rows)) - sum(quotas.at(start)) for start in range(10 * 9 * 8)]
    assert quotas.least(rows) <= min(windows) and max(windows) <= quotas.most(rows)


def test_the_limits_are_reached_by_a_single_task():
    quotas = Quotas([Fraction(1, 4)], [0])
    assert [quotas.least(n) for n in range(9)] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert [quotas.most(n) for n in range(9)] == [0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_every_share_has_a_phase():
    with pytest.raises(ValueError, match="shorter"):
        Quotas([Fraction(1, 2), Fraction(1, 2)], [0])
