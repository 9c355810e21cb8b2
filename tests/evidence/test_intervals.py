"""Student's t intervals against scipy's own, and by how often they cover a known truth."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rare_retention.evidence import intervals
from rare_retention.evidence.intervals import differ, student_t

NAN = float("nan")


def table(rows):
    return xr.DataArray(np.asarray(rows, np.float64), dims=("stream", "initialisation"))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_streams_are_the_units_where_there_are_two(streams, initialisations, seed):
    """The interval is scipy's for the stream means, however many initialisations each has."""
    values = np.random.default_rng(seed).normal(3, 2, (streams, initialisations))
    found = student_t(table(values))
    expected = stats.ttest_1samp(values.mean(1), 0).confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], expected)
    np.testing.assert_allclose(found.estimate, values.mean())
    assert (found.units, found.covers) == (streams, "streams")
    assert (found.streams, found.initialisations) == (streams, initialisations)


def test_initialisations_are_the_units_of_a_single_stream():
    values = [0.3, 0.5, 0.9]
    found = student_t(table([values]))
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    np.testing.assert_allclose([found.low, found.high], expected)
    assert (found.units, found.covers, found.streams) == (3, "initialisations", 1)


@pytest.mark.parametrize("dims", [("stream",), ("initialisation",)])
def test_one_dimension_is_enough(dims):
    found = student_t(xr.DataArray([1.0, 2.0, 4.0], dims=dims))
    assert found.units == 3
    assert found.covers == f"{dims[0]}s"


@pytest.mark.parametrize(
    ("covers", "held", "words"),
    [
        ("streams", (), "batches, initial weights and tasks"),
        ("streams", ["tasks"], "batches and initial weights"),
        ("streams", ("weights", "tasks"), "batches alone"),
        ("streams", ("batches", "tasks"), "initial weights alone"),
        ("streams", ("batches", "weights", "tasks"), "nothing"),
        ("initialisations", (), "initial weights alone"),
        ("none", (), ""),
    ],
)
def test_what_an_interval_covers_is_said(covers, held, words):
    assert differ(covers, held) == words


def test_one_unit_gives_no_interval():
    found = student_t(table([[0.7]]))
    assert found.estimate == 0.7
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert (found.units, found.covers) == (1, "none")


def test_no_value_gives_no_estimate():
    found = student_t(table([[NAN, NAN], [NAN, NAN]]))
    assert np.isnan(found.estimate)
    assert (found.units, found.covers, found.missing) == (0, "none", 4)


def test_equal_units_give_an_interval_of_no_width():
    """Three times 0.1 sums to 0.30000000000000004: rounding must not widen it or move it."""
    found = student_t(table([[0.1], [0.1], [0.1]]))
    assert found.low == found.high == found.estimate == 0.1


def test_missing_values_are_left_out_and_counted():
    """A stream without any value is no unit; one with some is the mean of these."""
    found = student_t(table([[1.0, NAN], [NAN, NAN], [2.0, 4.0]]))
    assert found.estimate == 2.0
    assert (found.units, found.covers, found.missing) == (2, "streams", 3)
    alone = student_t(table([[1.0, 2.0], [NAN, NAN]]))
    assert (alone.units, alone.covers, alone.streams) == (2, "initialisations", 1)


def test_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="size"):
        student_t(xr.DataArray(np.zeros((2, 2)), dims=("stream", "size")))


def test_the_interval_covers_streams_with_their_confidence():
    """Streams that differ much, initialisations that do not: 95% of intervals hold the truth."""
    rng = np.random.default_rng(0)
    draws, inside = 600, 0
    for _ in range(draws):
        values = 5 + rng.normal(0, 1, (3, 1)) + rng.normal(0, 0.1, (3, 4))
        found = student_t(table(values))
        inside += found.low <= 5 <= found.high
    assert stats.binomtest(int(inside), draws, 0.95).pvalue > 1e-3


def test_a_p_value_is_that_of_scipy_and_agrees_with_the_interval():
    """The threshold lies outside the interval exactly where p is below 5%."""
    units = np.array([0.2, 0.5, 0.9, 0.4])
    found = intervals.student_t(xr.DataArray(units, dims="stream"))
    for threshold in (0.0, 0.3, found.low - 1e-9, found.low + 1e-9, 2.0):
        p = intervals.p_value(found, threshold)
        assert p == pytest.approx(stats.ttest_1samp(units, threshold).pvalue, rel=1e-9)
        assert (p < 0.05) == (not found.low <= threshold <= found.high)
    one = intervals.student_t(xr.DataArray([0.2], dims="stream"))
    assert np.isnan(intervals.p_value(one, 0.0))
    alike = intervals.student_t(xr.DataArray([0.2, 0.2], dims="stream"))
    assert np.isnan(intervals.p_value(alike, 0.3))


def test_holm_by_hand():
    """Three tests: 3 p, 2 p, 1 p in order of p, never falling; what is not tested is none."""
    found = intervals.holm([0.03, np.nan, 0.01, 0.02])
    assert found[0] == pytest.approx(0.04) and np.isnan(found[1])
    assert found[2:] == pytest.approx([0.03, 0.04])
    assert intervals.holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_keeps_the_error_of_all_tests_together():
    """Of 2000 studies of ten true nulls at most about 5% have any finding."""
    rng = np.random.default_rng(0)
    adjusted = [min(intervals.holm(list(rng.uniform(size=10)))) for _ in range(2000)]
    assert np.mean(np.array(adjusted) <= 0.05) < 0.065
