"""Placements of tasks in a stream of rows, and the random words that they draw."""

from fractions import Fraction

import numpy as np
import pytest

from rare_retention.schedule import background
from rare_retention.schedule.background import Even, Iid, Purpose, random_words

HALF_QUARTERS = [Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)]


def philox(key, counter):
    """Four words of Philox 4x64-10 (Salmon et al. 2011) in Python's integers."""
    a, b, c, d = counter
    k, j = key
    for turn in range(10):
        if turn:
            k, j = (k + 0x9E3779B97F4A7C15) % 2**64, (j + 0xBB67AE8584CAA73B) % 2**64
        high, low = divmod(0xD2E7470EE14C6C93 * a, 2**64)
        other_high, other_low = divmod(0xCA5A826395121157 * c, 2**64)
        a, b, c, d = other_high ^ b ^ k, other_low, high ^ d ^ j, low
    return [a, b, c, d]


@pytest.mark.parametrize("purpose", Purpose)
def test_words_are_those_of_philox(purpose):
    """Key (seed, step), counter (block, 0, 0, purpose): NumPy counts a block before it draws it."""
    seed, step = 2**64 - 7, 10**12
    expected = philox((seed, step), (1, 0, 0, purpose)) + philox((seed, step), (2, 0, 0, purpose))
    assert random_words(seed, step, purpose, 7).tolist() == expected[:7]


def test_each_purpose_seed_and_step_has_words_of_its_own():
    drawn = [
        random_words(seed, step, purpose, 1)[0]
        for seed in (0, 1)
        for step in (0, 1)
        for purpose in Purpose
    ]
    assert len(set(drawn)) == len(drawn)
    numbers = {"DRAWS": 0, "ORDER": 1, "PHASES": 2, "PLACES": 3, "INSTANCES": 4}
    assert {purpose.name: purpose.value for purpose in Purpose} == numbers  # or streams change


def test_a_row_is_of_the_task_in_whose_share_its_word_falls():
    """Task k has the words from sum_{j<k} p_j to sum_{j<=k} p_j, in units of 2^64."""
    found = Iid(HALF_QUARTERS, seed=3).counts(5, 500, 1700)
    words = [int(word) for word in random_words(3, 5, Purpose.DRAWS, 1200)]
    low, high = sum(word < 2**62 for word in words), sum(word < 3 * 2**62 for word in words)
    assert found == [low, high - low, 1200 - high]


def test_a_share_begins_with_its_first_word(monkeypatch):
    words = np.array([0, 2**62 - 1, 2**62, 3 * 2**62 - 1, 3 * 2**62, 2**64 - 1], np.uint64)
    monkeypatch.setattr(background, "random_words", lambda *asked: words)
    assert Iid(HALF_QUARTERS, seed=0).counts(0, 0, 6) == [2, 2, 2]


def test_a_task_without_a_share_is_never_drawn():
    counts = Iid([Fraction(0), Fraction(1, 2), Fraction(0), Fraction(1, 2)], 0).counts(0, 0, 99)
    assert counts[::2] == [0, 0] and sum(counts) == 99


def test_any_number_of_rows_can_be_drawn():
    iid = Iid(HALF_QUARTERS, seed=0)
    assert [iid.needs(rows) for rows in (-3, 0, 7)] == [0, 0, 7]


def test_quotas_give_the_rest_to_the_most_frequent_task():
    """floor(n / 4 + phase) of the others; a phase of 3/4 comes three rows earlier."""
    even = Even(HALF_QUARTERS, phases=[0, 0, 3 << 62])
    assert [even.shown(n) for n in (0, 1, 4, 5, 6)] == [
        [0, 0, 0],
        [0, 0, 1],
        [1, 2, 1],
        [1, 2, 2],
        [1, 3, 2],
    ]


def test_rows_of_a_batch_are_those_shown_since_the_one_before():
    even = Even(HALF_QUARTERS, phases=[0, 0, 3 << 62])
    assert even.counts(99, 4, 6) == [0, 1, 1]  # the step says nothing, the rows do
    ends = np.cumsum([even.counts(0, n, n + 3) for n in range(0, 30, 3)], axis=0)
    assert ends.tolist() == [even.shown(n) for n in range(3, 33, 3)]


def test_others_that_may_meet_in_one_row_need_two():
    even = Even(HALF_QUARTERS, phases=[0, 0, 0])
    assert even.shown(4)[1] - even.shown(3)[1] == -1  # both quarters in one row: one too many
    assert [even.needs(rows) for rows in (-1, 0, 1, 2, 3)] == [0, 0, 2, 2, 3]
