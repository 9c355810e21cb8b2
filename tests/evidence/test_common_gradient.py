"""Changes of the rare loss, cosines by width and Theorem 4's bound on made-up states."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rare_retention.evidence import common_gradient

NAN = np.nan


def test_changes_are_between_the_states_that_were_measured():
    """Steps 1 and 3 belong to another grid point: no student of this one has them."""
    steps = {"step": [0, 1, 2, 3, 4]}
    reference = xr.DataArray([[5.0, NAN, 3.0, NAN, 4.0]], steps, ("stream", "step"))
    predicted = xr.DataArray([[NAN, NAN, -1.5, NAN, 1.25]], steps, ("stream", "step"))
    found = common_gradient.changes(reference, predicted)
    assert found["step"].values.tolist() == [2, 4]
    assert found["measured"].values.tolist() == [[-2, 1]]
    assert found["predicted"].values.tolist() == [[-1.5, 1.25]]
    assert common_gradient.change_error(found).item() == pytest.approx(0.75 / 3)


def test_errors_of_different_sign_do_not_cancel():
    found = xr.Dataset(
        {
            "measured": (("stream", "size", "step"), [[[1.0, -1.0], [2.0, 0.0]]]),
            "predicted": (("stream", "size", "step"), [[[2.0, -2.0], [2.0, 0.0]]]),
        }
    )
    assert common_gradient.change_error(found).item() == 2 / 4


@pytest.mark.parametrize(
    ("measured", "predicted"),
    [([0.0, 0.0], [1.0, 1.0]), ([1.0, NAN], [1.0, 1.0]), ([1.0, 1.0], [1.0, NAN])],
)
def test_no_change_or_a_missing_window_leaves_no_error(measured, predicted):
    found = xr.Dataset({"measured": ("step", measured), "predicted": ("step", predicted)})
    assert np.isnan(common_gradient.change_error(found))


def test_late_cosine_is_the_mean_size_at_the_end():
    cosine = xr.DataArray([[0.9, 0.9, -0.4, 0.2]], {"step": [0, 10, 75, 100]}, ("size", "step"))
    assert common_gradient.late_cosine(cosine).item() == pytest.approx(0.3)
    assert common_gradient.late_cosine(cosine, 1.0).item() == pytest.approx(0.6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-3, 3), min_size=3, max_size=6), st.randoms())
def test_rank_correlation_is_spearmans(values, random):
    names = random.sample(range(1, 100), len(values))  # whatever sizes are called
    rows = xr.DataArray([values, [1.0] * len(values)], {"size": names}, ("stream", "size"))
    found = common_gradient.rank_correlation(rows.astype(float))
    assert found[1] == 0
    if len(set(values)) > 1:
        assert found[0].item() == pytest.approx(
            stats.spearmanr(range(len(values)), values).statistic
        )
    else:
        assert found[0] == 0


def test_rank_correlation_of_a_missing_width_is_missing():
    rows = xr.DataArray([1.0, NAN, 3.0], {"size": [1, 2, 3]}, ("size",))
    assert np.isnan(common_gradient.rank_correlation(rows))


def test_changes_are_those_between_states_that_all_streams_share():
    """What a stream predicts at states of its own counts for the window that they lie in."""
    reference = [[5, 4, NAN, 2, 1], [5, NAN, 3, 2, 1]]
    predicted = [[NAN, 0.9, NAN, 1.8, 1.1], [NAN, NAN, 2.1, 0.8, 1.2]]
    found = common_gradient.changes(
        *(
            xr.DataArray(np.array(rows), {"step": [0, 4, 6, 8, 9]}, ("stream", "step"))
            for rows in (reference, predicted)
        )
    )
    assert found["step"].values.tolist() == [8, 9]
    np.testing.assert_allclose(found["measured"], [[-3, -1], [-3, -1]])
    np.testing.assert_allclose(found["predicted"], [[2.7, 1.1], [2.9, 1.2]])


def states(gradient, bound):
    """F = {0} with mu^F = (0.9, 0.09)."""
    return xr.Dataset(
        {
            "basis_gradient": (("stream", "step"), np.atleast_2d(np.float32(gradient))),
            "basis_bound": (("stream", "step"), np.atleast_2d(np.float32(bound))),
            "frequency": ("task", [0.9, 0.1]),
            "spectrum": (("task", "direction"), [[1.0, 0.1], [1.0, 0.1]]),
        },
        {"step": np.arange(np.shape(bound)[-1]), "task": [0, 1]},
    )


def test_the_bound_is_obeyed_up_to_the_rounding_of_float32():
    """A residual of 1e-6 Tr M_F adds 2 sqrt(0.9 * 0.99e-6) = 1.9e-3 to a bound of nothing."""
    found = common_gradient.within_bound(
        states([0.5, 0.5004, 0.502, 1.8e-3, 2.0e-3, NAN], [0.5, 0.5, 0.5, 0, 0, 1])
    )
    np.testing.assert_array_equal(found, [[1, 1, 0, 1, 0]])


def test_a_missing_gradient_neither_obeys_nor_breaks_the_bound():
    found = common_gradient.within_bound(
        states([[NAN, 1.0], [2.0, 1.0]], np.ones((2, 2))).rename(stream="size")
    )
    np.testing.assert_array_equal(found, [[NAN, 1], [0, 1]])
