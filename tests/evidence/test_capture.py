"""Captured shares against theory: optima by brute force and linear programs, planted students."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from rare_retention.evidence import capture
from rare_retention.theory import utility

NAN = np.nan
# Frequencies and eigenvalues of which many products are equal.
PRIORS = st.lists(st.sampled_from([1.0, 2.0, 4.0]), min_size=2, max_size=4)


@st.composite
def tied_mixtures(draw):
    """Prior [K] and spectra [K, d_T] whose utilities often tie, and a width."""
    weights = np.array(draw(PRIORS))
    directions = draw(st.integers(1, 3))
    rows = draw(
        st.lists(
            st.lists(st.sampled_from([1.0, 0.5, 0.25]), min_size=directions, max_size=directions),
            min_size=len(weights),
            max_size=len(weights),
        )
    )
    spectra = np.sort(np.array(rows), axis=1)[:, ::-1]
    width = draw(st.integers(0, spectra.size + 1))
    return weights / weights.sum(), spectra, width


def point(signal, prior, spectra, widths, residual=None):
    """One grid point [stream, size, initialisation, step, task] with two states."""
    signal = np.asarray(signal, np.float32)
    dims = ("stream", "size", "initialisation", "step")
    data = {
        "signal": ((*dims, "task"), np.stack([0 * signal, signal], axis=3)),
        "frequency": ("task", np.asarray(prior)),
        "spectrum": (("task", "direction"), np.asarray(spectra)),
    }
    if residual is not None:
        data["residual"] = (dims, np.stack([0 * residual + 1, residual], axis=3))
    tasks = [f"task {k}" for k in range(len(prior))]
    return xr.Dataset(
        data,
        {
            "size": [f"s{i}" for i in range(len(widths))],
            "width": ("size", list(widths)),
            "step": [0, 9],
            "task": tasks,
            "watch": tasks[-1:],
        },
    )


def planted(prior, spectra, widths, streams=1, initialisations=1):
    """Students that hold exactly what Theorem 3 says [stream, width, initialisation, task]."""
    rows = [utility.predicted_signal(spectra, utility.retained(prior, spectra, n)) for n in widths]
    return np.broadcast_to(
        np.array(rows)[None, :, None], (streams, len(widths), initialisations, len(prior))
    ).copy()


@settings(deadline=None, max_examples=150)
@given(tied_mixtures())
def test_cut_is_where_the_optima_differ(mixture):
    prior, spectra, width = mixture
    certain, tied, free = capture.cut(prior, spectra, width)
    optima = utility.optima(prior, spectra, width)
    np.testing.assert_array_equal(certain + np.minimum(tied, free), optima.max(0))
    assert (optima.sum(1) == certain.sum() + free).all()
    assert (tied > 0).any() == (len(optima) > 1 or free > 0)
    np.testing.assert_array_equal(
        optima.min(0), certain + np.maximum(0, free - (tied.sum() - tied)) * (tied > 0)
    )


@settings(deadline=None, max_examples=150)
@given(tied_mixtures(), st.integers(0, 2**32 - 1))
def test_nearest_optimum_is_that_of_a_linear_program(mixture, seed):
    """No mixture of the listed optima is nearer, and the one returned is such a mixture."""
    prior, spectra, width = mixture
    observed = np.random.default_rng(seed).uniform(-0.1, 1.1, len(prior))
    vertices = utility.predicted_signal(spectra, utility.optima(prior, spectra, width))
    found = capture.nearest_optimum(observed, prior, spectra, width)
    assert np.abs(observed - found).sum() == pytest.approx(_distance(observed, vertices), abs=1e-7)
    assert _distance(found, vertices) == pytest.approx(0, abs=1e-7)


def _distance(target, vertices):
    """Least L1 distance from a target [K] to the convex hull of vertices [V, K]."""
    count, tasks = vertices.shape
    eye = np.eye(tasks)
    program = linprog(
        np.concatenate([np.zeros(count), np.ones(tasks)]),
        A_ub=np.block([[vertices.T, -eye], [-vertices.T, -eye]]),
        b_ub=np.concatenate([target, -target]),
        A_eq=np.concatenate([np.ones(count), np.zeros(tasks)])[None],
        b_eq=[1],
    )
    return program.fun


def test_every_optimum_is_its_own_nearest():
    """beta = 1, alpha = 2, N = 32 of the paper: task 1's fifth feature ties with another task's."""
    prior = utility.power_prior(32, 1.0)
    spectra = np.tile(utility.power_spectrum(32, 2.0), (32, 1))
    optima = utility.optima(prior, spectra, 32)
    assert len(optima) > 1
    shares = utility.predicted_signal(spectra, optima)
    np.testing.assert_allclose(capture.nearest_optimum(shares, prior, spectra, 32), shares)


def test_more_ties_than_can_be_listed_are_no_obstacle():
    """32 equal tasks of one direction for 16 places: any shares that sum to 16 are optimal."""
    prior, spectra = np.full(32, 1 / 32), np.ones((32, 1))
    observed = np.linspace(0, 1, 32)
    found = capture.nearest_optimum(observed, prior, spectra, 16)
    np.testing.assert_allclose(found, observed, atol=1e-12)
    half = capture.nearest_optimum(np.zeros(32), prior, spectra, 16)
    assert half.sum() == pytest.approx(16)


def test_shares_of_students_as_predicted():
    prior, spectra = np.array([0.6, 0.25, 0.15]), np.array([[1, 0.5], [1, 0.5], [1, 0.5]])
    widths = (1, 3, 6)
    found = capture.shares(point(planted(prior, spectra, widths, 2, 3), prior, spectra, widths))
    np.testing.assert_allclose(found["observed"], found["predicted"], atol=1e-6)
    assert found["observed"].sizes == {"stream": 2, "initialisation": 3, "size": 3, "task": 3}
    assert found["count"].values.tolist() == [[1, 0, 0], [2, 1, 0], [2, 2, 2]]
    assert not found["ambiguous"].any()


def test_ambiguous_cells_are_those_of_the_tie():
    """The second feature of task 0 ties with the first of task 1 (0.25 each) at width 2 of 3."""
    prior, spectra = np.array([0.5, 0.25, 0.25]), np.array([[1, 0.5], [1, 0.1], [0.1, 0.05]])
    widths = (1, 2, 3)
    found = capture.shares(point(planted(prior, spectra, widths), prior, spectra, widths))
    expected = [[False, False, False], [True, True, False], [False, False, False]]
    assert found["ambiguous"].values.tolist() == expected
    cells = capture.levels_learned(point(planted(prior, spectra, widths), prior, spectra, widths))
    assert cells["judged"].sel(level=1).values.tolist() == np.logical_not(expected).tolist()


def test_levels_are_half_way_between_features():
    spectra = np.array([[1, 0.5, 0.5], [1, 0, 0]])
    found = capture.level_thresholds(spectra, (1, 2, 3, 4))
    expected = [[0.25, 0.5], [0.625, NAN], [0.875, NAN], [NAN, NAN]]
    np.testing.assert_allclose(found, expected)


def test_staircases_of_planted_students_agree_and_of_others_do_not():
    prior = utility.power_prior(6, 1.3)
    spectra = np.tile(utility.power_spectrum(4, 2.0), (6, 1))
    widths = (1, 2, 4, 8, 16, 24)
    signal = planted(prior, spectra, widths, 2)
    right = capture.staircase_agreement(point(signal, prior, spectra, widths))
    assert right.dims == ("level", "stream", "initialisation")
    assert (right == 1).all()
    wrong = capture.staircase_agreement(point(1 - signal, prior, spectra, widths))
    assert (wrong < 0.5).all()
    assert (wrong.sel(level=1) == 0).all()


def test_staircase_agreement_counts_cells():
    """One cell wrong of 2 widths x 2 tasks: task 1 at width 2 lacks its only feature."""
    prior, spectra = np.array([0.7, 0.3]), np.ones((2, 1))
    signal = planted(prior, spectra, (1, 2))
    signal[0, 1, 0, 1] = 0.4
    found = capture.staircase_agreement(point(signal, prior, spectra, (1, 2)))
    assert found.sel(level=1).item() == 0.75
    assert found.sel(level=[2, 3]).isnull().all()


def test_a_student_that_misses_a_width_has_no_agreement():
    prior, spectra = np.array([0.7, 0.3]), np.ones((2, 1))
    signal = planted(prior, spectra, (1, 2), 2)
    signal[1, 0] = NAN
    found = capture.staircase_agreement(point(signal, prior, spectra, (1, 2)))
    assert found.sel(level=1).squeeze().notnull().values.tolist() == [True, False]


def test_signals_against_the_residual():
    """F = {0}: mu^F = (0.8, 0.2); the rare task has 0.08, below both: the line is at nothing."""
    prior, spectra = np.array([0.8, 0.12, 0.08]), np.array([[1, 0.25]] * 3)
    signal = np.arange(6.0).reshape(1, 2, 1, 3) / 6
    found = capture.against_residual(
        point(signal, prior, spectra, (1, 4), residual=np.array([[[0.3], [0.0]]])), frequent=2
    )
    np.testing.assert_allclose(found["frequent"].squeeze(), [[0, 1 / 6], [3 / 6, 4 / 6]], rtol=1e-6)
    np.testing.assert_allclose(found["rare"].squeeze(), [2 / 6, 5 / 6], rtol=1e-6)
    np.testing.assert_allclose(found["residual"].squeeze(), [0.3, 0.0])
    assert found["line"] == 0
    strong = point(signal, [0.8, 0.12, 0.08], [[1, 0.05]] * 3, (1, 4), np.ones((1, 2, 1)))
    np.testing.assert_allclose(capture.against_residual(strong)["line"], 0.0)


def test_the_line_is_the_floor_at_the_critical_width():
    """mu^F = (0.8, 0.2, 0.04): the rare task's 0.1 lies below 0.2, so N_crit = 3 of d_T = 4."""
    prior, spectra = np.array([0.8, 0.1, 0.1]), np.array([[1, 0.25, 0.05, 0.01]] * 3)
    signal, residual = np.zeros((1, 1, 1, 3)), np.zeros((1, 1, 1))
    found = capture.against_residual(point(signal, prior, spectra, (1,), residual))
    np.testing.assert_allclose(found["line"], 0.8 * 0.01)


def test_a_common_task_has_no_line():
    prior, spectra = np.array([0.5, 0.5]), np.ones((2, 1))
    signal, residual = np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1))
    found = capture.against_residual(point(signal, prior, spectra, (1,), residual))
    assert np.isnan(found["line"])


def test_empirical_widths_are_the_first_above_a_half():
    signal = xr.DataArray(
        [[0.0, 0.1, 0.5, 0.9], [0.4, 0.6, 0.4, NAN], [0.9, 0.6, 0.2, 0.1]],
        {"size": ["c", "b", "a"], "width": ("size", [2, 4, 8])},
        ("size", "task"),
    )
    found = capture.empirical_widths(signal)
    np.testing.assert_array_equal(found, [8, 4, 0, NAN])


def test_rank_one_tasks_need_their_place_in_the_order():
    prior, spectra = utility.power_prior(5, 2.0), np.ones((5, 1))
    widths = (1, 3, 4)
    found = capture.rank_one_widths(point(planted(prior, spectra, widths), prior, spectra, widths))
    assert found["predicted"].values.tolist() == [1, 3, 3, 4, 0]
    assert found["empirical"].squeeze().values.tolist() == [1, 3, 3, 4, 0]


def test_levels_that_a_task_does_not_have_are_never_learned():
    """Task 1 has one feature: whatever the width, it is neither expected nor judged to have two."""
    prior, spectra, widths = np.array([0.7, 0.3]), np.array([[1, 0.5], [1, 0]]), (1, 2, 9)
    found = capture.levels_learned(point(planted(prior, spectra, widths), prior, spectra, widths))
    expected = [[False, False], [True, False], [True, False]]
    assert found["predicted"].sel(level=2).values.tolist() == expected
    assert found["observed"].sel(level=2).squeeze().values.tolist() == expected
    assert found["judged"].sel(level=2, task="task 1").any().item() is False
