"""Example 7 against gradient descent on the losses |a - (a.u) u|^2 themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.theory import one_neuron

COMMON, RARE = np.linalg.qr(np.random.default_rng(7).standard_normal((5, 2)))[0].T


def loss(neuron, feature):
    """|a - (a.u) u|^2 for any u of R^D."""
    return np.sum((feature - (feature @ neuron) * neuron) ** 2)


def descend(angle, feature, rate):
    """Angle after one step of gradient descent in R^D (not on the circle), by differences."""
    neuron = np.cos(angle) * COMMON + np.sin(angle) * RARE
    slope = np.array(
        [
            (loss(neuron + nudge, feature) - loss(neuron - nudge, feature)) / 2e-5
            for nudge in 1e-5 * np.eye(len(neuron))
        ]
    )
    neuron = neuron - rate * slope
    return np.arctan2(neuron @ RARE, neuron @ COMMON)


@settings(deadline=None, max_examples=200)
@given(st.floats(-1.5, 1.5), st.floats(1e-4, 2e-3))
def test_steps_are_those_of_gradient_descent(angle, rate):
    """The circle and the tangent differ in third order of the rate only."""
    tolerance = rate**3 + 1e-11
    common = descend(angle, COMMON, rate)
    np.testing.assert_allclose(one_neuron.common_step(angle, rate), common, rtol=0, atol=tolerance)
    rare = descend(angle, RARE, rate)
    np.testing.assert_allclose(one_neuron.rare_step(angle, rate), rare, rtol=0, atol=tolerance)


def test_drift_is_the_mean_of_the_steps_and_pulls_to_the_more_frequent_task():
    """Frequencies weigh the two steps; p = 0.9 against q = 0.1 turns the neuron back to a."""
    angle, rate = np.linspace(0.1, 1.4, 7), 0.05
    p, q = np.array([[0.9], [0.3]]), np.array([[0.1], [0.5]])
    mean = p * (one_neuron.common_step(angle, rate) - angle)
    mean = mean + q * (one_neuron.rare_step(angle, rate) - angle)
    got = one_neuron.drift(angle, rate, p, q)
    assert got.shape == (2, 7)
    np.testing.assert_allclose(got, mean, atol=1e-15)
    assert np.all(got[0] < 0)
    assert np.all(got[1] > 0)
    np.testing.assert_allclose(one_neuron.drift(np.pi / 4, 0.1, 0.9, 0.1), -0.08)


@pytest.mark.parametrize("rate", [1e-3, 0.01, 0.2])
def test_decay_follows_common_steps_from_a_small_angle(rate):
    """t_G by iteration: the linear form to order t^2, the exponential one to order eta^2 G."""
    start = angle = 1e-5
    path = [start]
    for _ in range(60):
        angle = one_neuron.common_step(angle, rate)
        path.append(float(angle))
    steps = np.arange(61)
    linear = one_neuron.small_angle_decay(start, rate, steps)
    np.testing.assert_allclose(linear, path, rtol=1e-8)
    exponent = np.log(one_neuron.exponential_decay(start, rate, steps) / path)
    assert np.all(exponent >= -1e-8)
    # log(1 - x) = -x - x^2 / 2 - ..., with x = 2 eta.
    assert np.all(exponent <= 2 * rate**2 * steps / (1 - 2 * rate) + 1e-8)


def test_decay_broadcasts_over_gaps_and_rates():
    """Arrays of any broadcastable shape; no steps leave the angle alone."""
    got = one_neuron.small_angle_decay(0.1, np.array([[0.1], [0.25]]), np.array([0, 1, 2]))
    np.testing.assert_allclose(got, [[0.1, 0.08, 0.064], [0.1, 0.05, 0.025]])
    assert one_neuron.exponential_decay(0.1, 0.5, 1) == pytest.approx(0.1 / np.e)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_neuron.common_step(0.1, -0.1), "rate must be at least 0"),
        (lambda: one_neuron.rare_step(0.1, float("nan")), "rate must be at least 0"),
        (lambda: one_neuron.drift(0.1, 0.1, 0.9, 0.2), "sum to at most 1"),
        (lambda: one_neuron.drift(0.1, 0.1, -0.1, 0.2), "probabilities"),
        (lambda: one_neuron.small_angle_decay(0.1, 0.1, 1.5), "steps must hold whole numbers"),
        (lambda: one_neuron.exponential_decay(0.1, 0.1, -1), "steps must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    """One clear line each."""
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
