"""Levels of planted scores, against SciPy's optimum in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.settings.levels import levels

RNG = np.random.default_rng(0)
found_of = jax.jit(levels)


def planted(count, n, signal, noise=1.0, seed=0):
    """Scores in which the right label stands out by `signal` standard deviations."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, count, n)
    scores = noise * rng.standard_normal((n, count)) + signal * np.eye(count)[right]
    return scores.astype(np.float32), right


def least(scores, right):
    """The least mean cross-entropy over a >= 0 and b, in float64."""
    n, count = scores.shape
    wide = scores.astype(np.float64)

    def entropy(weights):
        z = weights[0] * wide + np.append(weights[1:], 0.0)
        return -(z[np.arange(n), right] - scipy.special.logsumexp(z, axis=1)).mean()

    bounds = [(0, 50)] + [(-60, 60)] * (count - 1)
    starts = [np.zeros(count), np.append(1.0, np.zeros(count - 1))]
    return min(
        scipy.optimize.minimize(entropy, start, method="L-BFGS-B", bounds=bounds).fun
        for start in starts
    )


@pytest.mark.parametrize("count", [2, 5, 30])
@pytest.mark.parametrize("signal", [0.0, 0.7, 2.0, 5.0])
def test_the_answer_is_that_of_the_best_shift_and_scale(count, signal):
    scores, right = planted(count, 300, signal, seed=count)
    found = float(found_of(scores, right, np.zeros(300, np.float32)).answer)
    expected = 1 - least(scores, right) / np.log(count)
    assert found == pytest.approx(expected, abs=3e-3)


@settings(max_examples=15, deadline=None)
@given(st.floats(-30, 30), st.floats(0.05, 20), st.integers(0, 1000))
def test_a_bias_that_drifts_changes_nothing(shift, scale, seed):
    """Another shift of a label and another scale leave the level where it was."""
    scores, right = planted(2, 200, 1.0, seed=seed)
    moved = scale * scores + np.array([shift, 0.0], np.float32)
    mass = np.zeros(200, np.float32)
    one, other = found_of(scores, right, mass), found_of(moved.astype(np.float32), right, mass)
    assert float(one.answer) == pytest.approx(float(other.answer), abs=5e-3)
    assert float(one.auc) == pytest.approx(float(other.auc), abs=1e-3)


def test_a_task_that_was_never_shown_stands_at_zero():
    """Scores that know nothing, whatever their bias: within 0.02 over 128 instances, mean of 50."""
    answers = []
    for seed in range(50):
        scores, right = planted(2, 128, 0.0, seed=seed)
        scores[:, 0] += np.float32(np.random.default_rng(seed).normal(0, 8))
        answers.append(float(found_of(scores, right, np.zeros(128, np.float32)).answer))
    assert 0 <= np.mean(answers) < 0.02 and max(answers) < 0.08


def test_a_reversed_score_tells_nothing():
    """The scale is not negative: always wrong is not known."""
    scores, right = planted(2, 200, -3.0, seed=1)
    found = found_of(scores, right, np.zeros(200, np.float32))
    assert float(found.answer) < 0.02 and float(found.auc) < 0.1


def test_perfect_scores_come_to_one():
    right = RNG.integers(0, 2, 200)
    scores = (20.0 * np.eye(2)[right]).astype(np.float32)
    found = found_of(scores, right, np.full(200, -0.5, np.float32))
    assert float(found.answer) > 0.999 and float(found.auc) == 1
    assert float(found.format) == pytest.approx(-0.5)


def test_the_area_is_that_of_mann_and_whitney():
    scores, right = planted(2, 90, 0.8, seed=3)
    scores = np.round(scores, 1)  # ties
    difference = scores[:, 0] - scores[:, 1]
    first, second = difference[right == 0], difference[right == 1]
    expected = scipy.stats.mannwhitneyu(first, second).statistic / (len(first) * len(second))
    found = found_of(scores, right, np.zeros(90, np.float32)).auc
    assert float(found) == pytest.approx(expected, abs=1e-6)
    alone = found_of(scores, np.zeros(90, np.int64), np.zeros(90, np.float32))
    assert np.isnan(alone.auc)
    assert np.isnan(found_of(*planted(3, 50, 1.0), jnp.zeros(50)).auc)
