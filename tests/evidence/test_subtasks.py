"""When subtasks are learned and in which order, against loops and worked numbers."""

import made_parity
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rare_retention.evidence import subtasks

NAN, INF = np.nan, np.inf


def values(rows, **places):
    """Values [..., task]."""
    return xr.DataArray(np.asarray(rows, np.float64), dims=(*places, "task"))


def point(accuracy, steps, shares, rows=10.0):
    """One student's accuracy [step, task]."""
    dims = ("stream", "size", "initialisation", "step", "task")
    return xr.Dataset(
        {
            "accuracy": (dims, np.asarray(accuracy, np.float32)[None, None, None]),
            "frequency": ("task", shares),
            "step_rows": rows,
        },
        {"step": steps},
    )


def test_shams_are_no_subtasks():
    steps, shares = [0, 10], [0.75, 0.25]
    without = point([[0.5, 0.5], [1.0, 0.5]], steps, shares)
    own = point([[0.5, 0.5, 0.5], [1.0, 0.5, 0.5]], steps, [*shares, 0.0])
    assert subtasks.frequency(own).to_numpy().tolist() == shares
    np.testing.assert_array_equal(subtasks.share_learned(own), subtasks.share_learned(without))
    first = [subtasks.first_learned(each) for each in (own, without)]
    np.testing.assert_array_equal(*first)
    np.testing.assert_array_equal(*(subtasks.own_rows(own, each) for each in first))


def test_a_subtask_is_learned_when_its_accuracy_first_is_high_enough():
    found = subtasks.first_learned(
        point([[0.5, 0.5], [0.8, 0.5], [1.0, 0.89], [0.5, 0.5]], [0, 10, 20, 30], [0.75, 0.25])
    )
    np.testing.assert_allclose(found.to_numpy().ravel(), [15, INF], rtol=1e-5)


def test_a_missing_state_leaves_the_student_out():
    results = made_parity.parity()
    results["accuracy"][0, 1, 0, 5:] = NAN
    found = subtasks.first_learned(results)
    assert found[0, 1, 0].isnull().all()
    assert found.isnull().sum() == results.sizes["task"]
    share = subtasks.share_learned(results)
    assert share[0, 1, 0].isnull() and share.isnull().sum() == 1


def test_planted_times_are_found():
    results = made_parity.parity(spread=0.0)
    steps = 2000 / (made_parity.BATCH * results["frequency"].to_numpy())
    found = subtasks.first_learned(results)
    wide = found.isel(size=-1).to_numpy()
    np.testing.assert_allclose(wide[..., 2:11], np.tile(steps[2:11], (2, 2, 1)), atol=45)
    assert np.all(np.isinf(wide[..., 11:]))
    np.testing.assert_allclose(subtasks.share_learned(results)[0, :, 0], [1 / 12, 5 / 12, 11 / 12])


def test_own_rows_are_the_share_of_all_rows():
    found = subtasks.own_rows(point([[0.5, 0.5]], [0], [0.75, 0.25]), values([4, INF]))
    np.testing.assert_allclose(found, [30, INF])


def test_shares_of_a_grid_point_may_stand_for_each_stream():
    shares = xr.DataArray([[0.75, 0.25], [0.75, 0.25]], dims=("stream", "task"))
    np.testing.assert_allclose(subtasks.frequency(xr.Dataset({"frequency": shares})), [0.75, 0.25])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0, INF]), min_size=3, max_size=9))
def test_order_is_spearmans_correlation(times):
    shares = np.arange(len(times), 0, -1) / 10
    found = subtasks.order(values([times, times], stream=2), values(shares))
    expected = 0.0
    if len(set(times)) > 1:
        finite = [-1e9 if t == INF else -t for t in times]
        expected = stats.spearmanr(shares, finite).statistic
    np.testing.assert_allclose(found, [expected, expected], atol=1e-12)


def test_order_is_missing_where_a_student_is():
    assert np.isnan(subtasks.order(values([1.0, NAN, 3.0]), values([0.5, 0.3, 0.2])))


def test_order_ignores_how_far_apart_times_are():
    """A worked example: of four subtasks the middle two have changed places, 1 - 6 * 2 / 60."""
    found = subtasks.order(values([1, 50, 7, INF]), values([0.4, 0.3, 0.2, 0.1]))
    assert float(found) == pytest.approx(0.8)


def pairs(rows, seen):
    """Signs of all pairs that count, one after another."""
    for i, frequent in enumerate(rows):
        for j, rare in enumerate(rows):
            if seen[j] < seen[i] and min(frequent, rare) <= seen[j]:
                yield int(rare > frequent) - int(rare < frequent)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=7))
def test_pairs_that_can_be_told_are_counted(each):
    seen = np.array([limit for limit, _ in each], float)
    rows = np.array([need if need <= limit else INF for limit, need in each])
    found = subtasks.rarer_needs_more(values([rows], stream=1), values(seen))
    counted = list(pairs(rows, seen))
    np.testing.assert_allclose(found, [np.mean(counted) if counted else NAN])


def test_what_a_short_run_does_not_show_favours_neither_side():
    """Needs drawn alike for all: 0 on average, though many of the rare ones are never seen.

    Taken at what was seen of them, the rare ones would seem to need less.
    """
    rng = np.random.default_rng(0)
    seen = 65 * np.arange(1, 25) ** -1.4
    needs = np.exp(0.5 * rng.standard_normal((2000, 24)))
    rows = np.where(needs <= seen, needs, INF)
    found = subtasks.rarer_needs_more(values(rows, stream=1), values(seen))
    assert abs(float(found.mean())) < 0.025
    cut = np.minimum(needs, seen)
    naive = np.sign(cut[:, None] - cut[..., None])[:, *np.triu_indices(24, 1)]
    assert naive.mean() < -0.08


def test_a_missing_student_has_no_pairs():
    found = subtasks.rarer_needs_more(values([[1, NAN], [1, 2]], stream=1), values([9.0, 8.0]))
    np.testing.assert_array_equal(found, [NAN, 1])
