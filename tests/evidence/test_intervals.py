"""Intervals against scipy's own, and by how often they cover a known truth."""

import re

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
    assert found.alike and not student_t(table([[0.1], [0.1], [0.2]])).alike
    assert student_t(table([[0.1], [0.1 + 1e-8], [0.1]])).alike  # as float32 has it


@pytest.mark.parametrize(
    ("value", "ends"), [(1, (0.292, 1)), (0, (0, 0.708)), (0.5, (0.146, 0.854))]
)
def test_equal_units_within_bounds_follow_the_rule_of_three(value, ends):
    """Of three equal ones at least 0.025^(1/3) = 0.29 of all are as they are."""
    found = intervals.bounded(table([[value]] * 3), 0, 1)
    assert found.estimate == value
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-3)
    rounded = intervals.bounded(table([[value], [abs(value - 1e-7)], [value]]), 0, 1)
    assert (rounded.low, rounded.high) == pytest.approx(ends, abs=1e-3)
    turned = intervals.bounded(table([[10 - 20 * value]] * 3), -10, 10)
    assert (turned.high, turned.low) == pytest.approx([10 - 20 * end for end in ends], abs=0.02)


def test_counted_cells_give_at_least_the_exact_interval():
    """5 x 8 of 40 cells as scipy has it; units that differ more than cells do widen it."""
    whole = intervals.bounded(table([[1.0]] * 5), 0, 1, 8)
    expected = stats.binomtest(40, 40).proportion_ci(0.95, "exact")
    assert (whole.low, whole.high) == pytest.approx((expected.low, expected.high))
    rows = [[0.5], [0.75], [0.625]]
    some = intervals.bounded(table(rows), 0, 1, 8)
    expected = stats.binomtest(15, 24).proportion_ci(0.95, "exact")
    assert some.low <= expected.low and some.high >= expected.high
    apart = intervals.bounded(table([[0.0], [1.0], [0.9]]), 0, 1, 1000)
    assert (apart.low, apart.high) == (0, 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.sampled_from([None, 1, 7, 50]))
def test_an_interval_stays_within_bounds_and_has_a_width(units, cells):
    found = intervals.bounded(xr.DataArray(units, dims="stream"), 0, 1, cells)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.high - found.low > 1e-7


def test_values_outside_bounds_are_refused_and_one_unit_has_no_interval():
    with pytest.raises(ValueError, match="expected values from 0 to 1"):
        intervals.bounded(table([[0.5], [1.2]]), 0, 1)
    alone = intervals.bounded(table([[0.5]]), 0, 1, 9)
    assert alone.estimate == 0.5 and np.isnan([alone.low, alone.high]).all()
    assert np.isnan(intervals.bounded(table([[NAN]]), 0, 1).estimate)


def test_signed_ranks_are_those_of_the_table_of_wilcoxon():
    """At n = 8 the fourth of the 36 means from either side: P(W <= 3) = 5/256."""
    units = np.array([0.3, 1.0, 2.2, 3.1, 4.5, 5.0, 7.7, 9.1])
    found = intervals.signed_rank(xr.DataArray(units, dims="stream"))
    means = np.sort([(a + b) / 2 for i, a in enumerate(units) for b in units[i:]])
    assert (found.low, found.high) == pytest.approx((means[3], means[-4]))
    assert found.estimate == pytest.approx(np.median(means))
    shifted = units - found.low
    assert stats.wilcoxon(shifted + 1e-6).pvalue < 0.05 <= stats.wilcoxon(shifted - 1e-6).pvalue
    few = intervals.signed_rank(xr.DataArray(units[:5], dims="stream"))
    assert (few.low, few.high) == (-np.inf, np.inf)


def test_units_known_from_one_side_stay_in_the_interval():
    """Two of eight are only known to lie above: the lower end holds, the upper end moves out."""
    units = np.array([0.3, 1.0, 2.2, 3.1, 4.5, 5.0, 7.7, 9.1])
    least = xr.DataArray(units, dims="stream")
    whole = intervals.signed_rank(least)
    most = least.where(least < 7, np.inf)
    found = intervals.signed_rank(least, most)
    assert (found.censored, found.units) == (2, 8)
    assert found.low == whole.low and found.high > whole.high
    unknown = intervals.signed_rank(least.where(least > 1, -np.inf), most)
    assert unknown.censored == 4 and (unknown.low, unknown.high) == (-np.inf, np.inf)


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


def beta_binomial(rng, size, mean, correlation, cells=20):
    """Shares of cells that err together."""
    both = 1 / correlation - 1
    return rng.binomial(cells, rng.beta(mean * both, (1 - mean) * both, size)) / cells


WITHIN = (0.0, 1.0)
PAIRS_OF_EXPONENTIAL = 0.8392  # median of the mean of two: that of a gamma of shape 2, halved
DRAWN = {
    "normal": (lambda rng, size: rng.normal(0, 1, size), 0, {}),
    "exponential": (lambda rng, size: rng.exponential(1, size), 1, {}),
    "lognormal, sigma 1": (lambda rng, size: rng.lognormal(0, 1, size), np.exp(0.5), {}),
    "uniform": (lambda rng, size: rng.uniform(0, 1, size), 0.5, {}),
    "beta(0.5, 5)": (lambda rng, size: rng.beta(0.5, 5, size), 1 / 11, {}),
    "20 cells, mean 0.9, counted": (
        lambda rng, size: rng.binomial(20, 0.9, size) / 20, 0.9, {"cells": 20}),
    "20 cells, mean 0.99, counted": (
        lambda rng, size: rng.binomial(20, 0.99, size) / 20, 0.99, {"cells": 20}),
    "20 cells, mean 0.99, not counted": (
        lambda rng, size: rng.binomial(20, 0.99, size) / 20, 0.99, {}),
    "one cell, mean 0.9, counted": (
        lambda rng, size: rng.binomial(1, 0.9, size) / 1.0, 0.9, {"cells": 1}),
    "20 cells, mean 0.9, alike to 0.2": (
        lambda rng, size: beta_binomial(rng, size, 0.9, 0.2), 0.9, {"cells": 20}),
    "exponential, median of pairs": (
        lambda rng, size: rng.exponential(1, size), PAIRS_OF_EXPONENTIAL, {}),
}  # fmt: skip


def t_ends(rows):
    """Ends of Student's t interval of each row [draw, unit]."""
    count = rows.shape[1]
    half = stats.t.ppf(0.975, count - 1) * rows.std(1, ddof=1) / np.sqrt(count)
    return rows.mean(1) - half, rows.mean(1) + half


def bounded_ends(rows, cells=None):
    """The outermost of the ends that `intervals.bounded` takes, of each row."""
    mean, count = rows.mean(1), rows.shape[1]
    angles = [end.clip(0, np.pi / 2) for end in t_ends(np.arcsin(np.sqrt(rows)))]
    ends = [t_ends(rows), tuple(np.sin(angle) ** 2 for angle in angles)]
    if cells is None:
        alike, equal = 0.025 ** (1 / count), np.ptp(rows, axis=1) == 0
        ends.append((np.where(equal, mean * alike, 1), np.where(equal, 1 - (1 - mean) * alike, 0)))
    else:
        shown, seen = cells * count, mean * cells * count
        with np.errstate(invalid="ignore"):
            low = np.where(seen > 0, stats.beta.ppf(0.025, seen, shown - seen + 1), 0)
            high = np.where(seen < shown, stats.beta.isf(0.025, seen + 1, shown - seen), 1)
        ends.append((low, high))
    return np.min([e[0] for e in ends], 0).clip(0), np.max([e[1] for e in ends], 0).clip(max=1)


def rank_ends(rows):
    """Means of pairs at the place of Wilcoxon's table for each row, none below 6 units."""
    place = {8: 4}.get(rows.shape[1])
    if place is None:
        return np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    first, second = np.triu_indices(rows.shape[1])
    means = np.sort((rows[:, first] + rows[:, second]) / 2, axis=1)
    return means[:, place - 1], means[:, -place]


ENDS = {"student_t": t_ends, "bounded": bounded_ends, "signed_rank": rank_ends}


def coverage(method, name, count, draws, seed=0):
    """Share of intervals of so many units that hold the truth.

    All draws at once; of the first the package's own intervals must be the same.
    """
    draw, truth, options = DRAWN[name]
    rows = draw(np.random.default_rng(seed), (draws, count))
    low, high = ENDS[method](rows, **options)
    limits = WITHIN if method == "bounded" else ()
    for i in range(12):
        found = getattr(intervals, method)(xr.DataArray(rows[i], dims="stream"), *limits, **options)
        assert (low[i], high[i]) == pytest.approx((found.low, found.high), abs=1e-9)
    return float(np.mean((low <= truth + 1e-12) & (truth - 1e-12 <= high)))


SAID = re.findall(
    r"^    (student_t|bounded|signed_rank) +(.*?)  +(\d+) +(\d+) +(\d+)$", intervals.__doc__, re.M
)


@pytest.mark.parametrize(("method", "name", "numbers"), [(m, n, each) for m, n, *each in SAID])
def test_coverage_is_what_the_module_says(method, name, numbers):
    """Nominal is 95: what is less, for skewed and bounded units, the module's table says.

    Of 4,000 draws, whose error is 0.3 to 0.6 points; the table is rounded to whole ones.
    """
    for count, percent in zip((3, 5, 8), numbers, strict=True):
        assert 100 * coverage(method, name, count, 4000) == pytest.approx(int(percent), abs=2), (
            count
        )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_a_ratio_of_means_scatters_as_the_delta_method_says(seed, count):
    """Its mean is the ratio of the means; its spread that of a - r b, by the mean of b."""
    rng = np.random.default_rng(seed)
    above, below = rng.normal(2, 1, (2, count, 1)) + 5
    found = student_t(intervals.ratio(table(above), table(below)))
    whole = above.mean() / below.mean()
    assert found.estimate == pytest.approx(whole)
    spread = (above - whole * below).std(ddof=1) / below.mean() / np.sqrt(count)
    half = stats.t.ppf(0.975, count - 1) * spread
    assert found.high - found.estimate == pytest.approx(half)


def test_a_unit_with_next_to_nothing_below_does_not_decide_a_ratio_of_means():
    above, below = [[0.5], [0.45], [0.02]], [[1.0], [0.9], [1e-9]]
    assert student_t(intervals.ratio(table(above), table(below))).estimate == pytest.approx(
        0.97 / 1.9
    )
    lost = intervals.ratio(table(above), table([[1.0], [NAN], [1e-9]]))
    assert np.isnan(lost[1, 0]) and float(lost.mean()) == pytest.approx(0.52)


def test_every_method_and_kind_of_unit_has_a_coverage():
    assert {method for method, *_ in SAID} == {"student_t", "bounded", "signed_rank"}
    assert {name for _, name, *_ in SAID} == set(DRAWN)


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
