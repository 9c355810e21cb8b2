"""Sparse parities: their subsets and the rows on which they are asked."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rare_retention.tasks import subsets


@st.composite
def mixtures(draw):
    """Tasks, bits and subset that fit together."""
    bits = draw(st.integers(1, 12))
    subset = draw(st.integers(1, bits))
    return draw(st.integers(1, math.comb(bits, subset))), bits, subset


@settings(max_examples=60, deadline=None)
@given(mixtures(), st.integers(0, 2**40), st.integers(0, 2**16 - 1))
def test_subsets_are_different_and_of_that_size(mixture, seed, draw):
    tasks, bits, subset = mixture
    found = subsets.random_subsets(tasks, bits, subset, seed, draw)
    assert found.shape == (tasks, subset) and found.dtype == np.int32
    assert found.min() >= 0 and found.max() < bits
    assert np.all(np.diff(found) > 0)
    assert len(np.unique(found, axis=0)) == tasks
    np.testing.assert_array_equal(found, subsets.random_subsets(tasks, bits, subset, seed, draw))


def test_as_many_tasks_as_there_are_subsets_have_them_all():
    found = subsets.random_subsets(35, 7, 3, 0, 0)
    assert {tuple(row) for row in found.tolist()} == set(itertools.combinations(range(7), 3))


def test_fewer_tasks_are_the_first_of_more_and_other_draws_are_others():
    many = subsets.random_subsets(500, 100, 3, 5, 2)
    np.testing.assert_array_equal(subsets.random_subsets(20, 100, 3, 5, 2), many[:20])
    for seed, draw in ((5, 3), (6, 2)):
        other = subsets.random_subsets(500, 100, 3, seed, draw)
        shared = {tuple(row) for row in many.tolist()} & {tuple(row) for row in other.tolist()}
        assert len(shared) < 10


def test_the_largest_numbers_of_subsets_have_members():
    found = subsets.random_subsets(50, 64, 31, 0, 0)
    assert math.comb(64, 31) < subsets.MOST_SUBSETS
    assert np.all(np.diff(found) > 0) and found.max() < 64


def test_every_bit_is_as_likely_as_any_other():
    counts = np.bincount(subsets.random_subsets(2000, 40, 3, 0, 0).ravel(), minlength=40)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize(("bits", "most"), [(3, 8), (4, 1000)])
def test_few_bits_have_all_rows(bits, most):
    found = subsets.asked_rows(bits, most, 0)
    assert {tuple(row) for row in found.tolist()} == set(
        itertools.product((False, True), repeat=bits)
    )
    assert len(found) == 2**bits


@pytest.mark.parametrize("bits", [4, 64, 100])
def test_many_bits_have_rows_of_fair_ones(bits):
    most = 15 if bits == 4 else 4000
    found = subsets.asked_rows(bits, most, 1)
    assert found.shape == (most, bits) and found.dtype == bool
    np.testing.assert_array_equal(found, subsets.asked_rows(bits, most, 1))
    assert not np.array_equal(found, subsets.asked_rows(bits, most, 2))
    if bits > 4:
        np.testing.assert_allclose(found.mean(0), 0.5, atol=5 * 0.5 / most**0.5)
        np.testing.assert_allclose(np.corrcoef(found.T)[0, 1:], 0, atol=5 / most**0.5)
