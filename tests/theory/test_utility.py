"""Theorem 3 against eigendecompositions, exact enumeration and the paper's own numbers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.theory import utility

SETTINGS = settings(deadline=None, max_examples=200)


@st.composite
def whole_mixtures(draw, max_tasks=4, max_directions=4):
    """Whole-number weights [K] and eigenvalues [K, d_T], small: ties and zeros are common."""
    tasks = draw(st.integers(1, max_tasks))
    directions = draw(st.integers(1, max_directions))
    weights = draw(st.lists(st.integers(1, 6), min_size=tasks, max_size=tasks))
    value = st.tuples(st.integers(1, 6), *[st.integers(0, 6)] * (directions - 1))
    rows = draw(st.lists(value, min_size=tasks, max_size=tasks))
    return np.array(weights), np.array([sorted(row, reverse=True) for row in rows])


@st.composite
def mixtures(draw):
    """Real-valued priors [K] and spectra [K, d_T]."""
    tasks, directions = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    positive = st.floats(0.01, 1)
    weights = np.array(draw(st.lists(positive, min_size=tasks, max_size=tasks)))
    flat = draw(st.lists(positive, min_size=tasks * directions, max_size=tasks * directions))
    spectra = np.sort(np.reshape(flat, (tasks, directions)))[:, ::-1]
    return weights / weights.sum(), spectra


def exact_best(weights, spectra, width):
    """All counts of least loss, in whole numbers, that retain no useless feature."""
    useful = [int(np.sum(row > 0)) for row in spectra]
    loss = {
        counts: sum(
            int(w) * int(row[n:].sum()) for w, row, n in zip(weights, spectra, counts, strict=True)
        )
        for counts in itertools.product(*(range(n + 1) for n in useful))
        if sum(counts) <= width
    }
    least = min(loss.values())
    return least, {counts for counts, value in loss.items() if value == least}


@SETTINGS
@given(mixtures(), st.integers(0, 30), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_best_student_is_the_top_eigenspace(covariances, mixture, width, spare, seed):
    """The least loss is the sum of M's discarded eigenvalues, task losses are those it leaves."""
    prior, spectra = mixture
    tasks_cov = covariances(spectra, spare, seed)
    values, vectors = np.linalg.eigh(np.einsum("k,kij->ij", prior, tasks_cov))
    inputs = len(values)
    width = min(width, inputs)
    discarded = values[: inputs - width]
    np.testing.assert_allclose(
        utility.mixture_loss(prior, spectra, width), discarded.sum(), atol=1e-12
    )
    tied = 0 < width < inputs and values[inputs - width] - discarded[-1] < 1e-6
    if not tied:
        top = vectors[:, inputs - width :]
        losses = np.einsum("ij,kji->k", np.eye(inputs) - top @ top.T, tasks_cov)
        counts = utility.retained(prior, spectra, width)
        np.testing.assert_allclose(utility.predicted_loss(spectra, counts), losses, atol=1e-8)
        np.testing.assert_allclose(
            utility.predicted_signal(spectra, counts), 1 - losses / spectra.sum(1), atol=1e-6
        )


@SETTINGS
@given(whole_mixtures(), st.integers(0, 18))
def test_optima_are_all_the_minimisers(mixture, width):
    """Exhaustive enumeration finds the same sets; the first row is `retained`."""
    weights, spectra = mixture
    prior = weights / weights.sum()
    rows = utility.optima(prior, spectra, width)
    least, expected = exact_best(weights, spectra, width)
    assert len(rows) == len(expected)
    assert {tuple(row) for row in rows.tolist()} == expected
    np.testing.assert_array_equal(rows[0], utility.retained(prior, spectra, width))
    np.testing.assert_allclose(
        utility.mixture_loss(prior, spectra, width), least / weights.sum(), atol=1e-14
    )


@SETTINGS
@given(whole_mixtures())
def test_retention_follows_utility_then_frequency_then_index(mixture):
    """Sorting whole-number keys gives the same order, and no useless feature is kept."""
    weights, spectra = mixture
    features = sorted(
        (-int(w * value), -int(w), k, j)
        for k, w in enumerate(weights)
        for j, value in enumerate(spectra[k])
        if value > 0
    )
    for width in range(spectra.size + 2):
        counts = np.zeros(len(weights), int)
        for _, _, k, _ in features[:width]:
            counts[k] += 1
        got = utility.retained(weights / weights.sum(), spectra, width)
        np.testing.assert_array_equal(got, counts)


@SETTINGS
@given(whole_mixtures(), st.integers(1, 5))
def test_staircases_are_found_by_linear_search(mixture, m):
    """N*_k(m) is the first width whose `retained` reaches m, 0 if none does."""
    weights, spectra = mixture
    prior = weights / weights.sum()
    counts = np.array([utility.retained(prior, spectra, n) for n in range(spectra.size + 1)])
    expected = [next((n for n, count in enumerate(column) if count >= m), 0) for column in counts.T]
    np.testing.assert_array_equal(utility.staircase(prior, spectra, m), expected)


def test_power_laws():
    """Priors and spectra against sums written out; the paper's frequencies of the rarest task."""
    np.testing.assert_allclose(utility.power_prior(3, 1), np.array([6, 3, 2]) / 11)
    np.testing.assert_allclose(utility.power_spectrum(3, 2), [1, 1 / 4, 1 / 9])
    rarest = [utility.power_prior(32, beta)[-1] for beta in (0.5, 1, 1.5, 2)]
    np.testing.assert_allclose(rarest, [0.0178, 0.0077, 0.0024, 0.0006], atol=5e-5)


def test_effective_directions():
    """Five of 32 directions carry 90% at alpha = 2; thresholds met up to rounding count as met."""
    assert utility.effective_directions(utility.power_spectrum(32, 2)) == 5
    assert utility.effective_directions(utility.power_spectrum(32, 2), 0.88) == 4
    assert utility.effective_directions(np.full(10, 0.1), 0.8) == 8
    assert utility.effective_directions([3.0, 1.0, 0.0], 1.0) == 2
    assert utility.effective_directions([1.0]) == 1


@pytest.mark.parametrize(("beta", "size"), [(0.5, 22), (1, 14), (1.5, 6), (2, 3)])
def test_common_sets_of_the_paper_settings(paper_mixture, beta, size):
    """The definition with K = 32 gives 22, 14, 6 and 3 tasks, not the paper's 6, 3, 2 and 2."""
    np.testing.assert_array_equal(utility.common_set(paper_mixture(beta)[0]), np.arange(size))


def test_common_set_at_ties_and_thresholds():
    """Eight tenths reach 0.8 although their float sum does not; ties go by index."""
    assert np.cumsum(np.full(10, 0.1))[7] < 0.8
    np.testing.assert_array_equal(utility.common_set(np.full(10, 0.1)), np.arange(8))
    np.testing.assert_array_equal(utility.common_set([0.2, 0.3, 0.2, 0.3], 0.7), [1, 3, 0])
    np.testing.assert_array_equal(utility.common_set([0.5, 0.5], 1.0), [0, 1])


def test_optima_at_beta_one(paper_mixture):
    """Width 32 has one slot for (24, 1) or (6, 2), counted from 1; the frequent task goes first."""
    rows = utility.optima(*paper_mixture(1), 32)
    assert rows.shape == (2, 32)
    assert rows.sum(1).tolist() == [32, 32]
    assert [(row[23], row[5]) for row in rows.tolist()] == [(0, 2), (1, 1)]
    np.testing.assert_array_equal(np.delete(rows[0], [5, 23]), np.delete(rows[1], [5, 23]))


@pytest.mark.parametrize(
    ("beta", "tying"),
    [(0.5, {16, 192}), (1, {4, 32, 192}), (1.5, set()), (2, {2, 4, 32, 64, 96, 128, 192})],
)
def test_widths_of_the_sweeps_that_tie(paper_mixture, beta, tying):
    """In whole numbers, k^(2 beta) j^4 orders the features by utility and counts the optima."""
    prior, spectra = paper_mixture(beta)
    keys = sorted(k ** int(2 * beta) * j**4 for k in range(1, 33) for j in range(1, 33))
    found = set()
    for width in (2, 4, 8, 16, 32, 64, 96, 128, 192, 256):
        rows = utility.optima(prior, spectra, width)
        cut = keys[width - 1]
        assert len(rows) == math.comb(keys.count(cut), width - keys.index(cut))
        assert len(np.unique(rows, axis=0)) == len(rows)
        losses = utility.predicted_loss(spectra, rows) @ prior
        np.testing.assert_allclose(losses, utility.mixture_loss(prior, spectra, width), rtol=1e-12)
        if len(rows) > 1:
            found.add(width)
    assert found == tying


def test_rarest_task_appears_between_114_and_119_at_beta_two(paper_mixture):
    """Six features tie with the rarest task's first; the tie order puts it last of them."""
    prior, spectra = paper_mixture(2)
    assert utility.staircase(prior, spectra, 1)[31] == 119
    first = [utility.optima(prior, spectra, width)[:, 31].max() for width in range(112, 121)]
    assert first == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    last = [utility.optima(prior, spectra, width)[:, 31].min() for width in range(112, 121)]
    assert last == [0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_too_many_optima():
    """Sixteen equal tasks fill eight slots in 12870 ways: an error, not a table."""
    prior, spectra = np.full(16, 1 / 16), np.ones((16, 1))
    assert len(utility.optima(prior, spectra, 4)) == 1820
    with pytest.raises(ValueError, match="more than 4096 optima"):
        utility.optima(prior, spectra, 8)


def test_equal_eigenvalues_within_a_task_give_one_optimum():
    """Which of two like directions is kept does not change the counts."""
    rows = utility.optima([0.7, 0.3], [[1.0, 1.0], [1.0, 1.0]], 1)
    assert rows.tolist() == [[1, 0]]


def test_useless_features_are_never_retained():
    """Neither zero eigenvalues nor tasks that never come take up width."""
    prior, spectra = [0.4, 0.6, 0.0], [[2.0, 0.0], [1.0, 1.0], [5.0, 5.0]]
    for width in (3, 4, 9):
        assert utility.optima(prior, spectra, width).tolist() == [[1, 2, 0]]
    assert utility.mixture_loss(prior, spectra, 9) == 0
    np.testing.assert_array_equal(utility.staircase(prior, spectra, 2), [0, 3, 0])
    np.testing.assert_array_equal(utility.staircase(prior, spectra, 1), [1, 2, 0])
    np.testing.assert_array_equal(utility.staircase(prior, spectra, 3), [0, 0, 0])


def test_wider_tolerance_admits_near_ties():
    """Utilities 0.5 and 0.4999 tie for `optima` at 1e-3 only."""
    prior, spectra = [0.5, 0.5], [[1.0], [0.9998]]
    assert utility.optima(prior, spectra, 1).tolist() == [[1, 0]]
    assert utility.optima(prior, spectra, 1, rtol=1e-3).tolist() == [[1, 0], [0, 1]]


def test_small_losses_keep_their_precision():
    """A tail far below the head is summed from its own end."""
    spectra = [[1.0, 1e-20, 1e-21]]
    np.testing.assert_allclose(utility.predicted_loss(spectra, [1]), [1.1e-20], rtol=1e-12)
    losses = utility.predicted_loss([[3.0, 1.0], [2.0, 0.0]], [[[0, 0], [2, 1]]])
    np.testing.assert_array_equal(losses, [[[4, 2], [0, 0]]])


def test_rank_one_staircase_is_straight_and_lands_on_the_grid():
    """With d_T = 1 task k needs width k; a study sees the first width of its grid from there."""
    steps = utility.staircase(utility.power_prior(6, 2), np.ones((6, 1)), 1)
    np.testing.assert_array_equal(steps, [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(utility.first_on_grid(steps, [5, 1, 2]), [1, 2, 5, 5, 5, 0])
    np.testing.assert_array_equal(utility.first_on_grid([0, 1], [4]), [0, 4])


def test_normalised_signal():
    """A random encoder has 0, a captured task 1, a lost one is below 0; widths broadcast."""
    np.testing.assert_allclose(utility.normalised_signal([0.25, 1, 0], 16, 64), [0, 1, -1 / 3])
    widths = np.array([[16], [32]])
    np.testing.assert_allclose(
        utility.normalised_signal([[0.25, 1], [0.25, 1]], widths, 64), [[0, 1], [-0.5, 1]]
    )
