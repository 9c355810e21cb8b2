"""Gated neurons against NumPy in float64, and one neuron against Example 7."""

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.models.gated import Gated
from rare_retention.parallel import logical_names
from rare_retention.theory import competition


def gated(angles, sharpness):
    with logical_names():
        model = Gated(len(angles), sharpness, (0.0, 1.0), rngs=nnx.Rngs(0))
    model.angle[...] = np.asarray(angles, np.float32)
    return model


def expected_losses(angles, sharpness):
    """1 - sum_i g_i (u_i.v)^2, from unit vectors in the plane rather than from angles."""
    neurons = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    losses = []
    for direction in np.eye(2):
        alignment = (neurons @ direction) ** 2
        weight = np.exp(sharpness * (alignment - alignment.max()))
        losses.append(1 - weight @ alignment / weight.sum())
    return np.array(losses)


def gradient(model, task):
    graph, state = nnx.split(model)
    grad = jax.grad(lambda s: nnx.merge(graph, s)()[task])(state)
    return np.asarray(nnx.to_pure_dict(grad)["angle"], np.float64)


ANGLES = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(ANGLES, st.sampled_from([0.0, 1.0, 30.0]))
def test_losses_are_those_of_gated_unit_neurons(angles, sharpness):
    """Any angles, with equal, soft and sharp gates."""
    model = gated(angles, sharpness)
    np.testing.assert_allclose(model(), expected_losses(angles, sharpness), atol=1e-5)
    cosine = np.cos(np.array(angles))
    np.testing.assert_allclose(model.alignment(), [cosine**2, 1 - cosine**2], atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(ANGLES, st.sampled_from([0.0, 3.0, 30.0]), st.sampled_from([0, 1]))
def test_gradients_are_finite_differences(angles, sharpness, task):
    """Through the gates as well."""
    nudges = 1e-5 * np.eye(len(angles))
    slopes = [
        (expected_losses(angles + n, sharpness) - expected_losses(angles - n, sharpness))[task]
        / 2e-5
        for n in nudges
    ]
    np.testing.assert_allclose(gradient(gated(angles, sharpness), task), slopes, atol=2e-4)


@pytest.mark.parametrize("sharpness", [0.0, 100.0])
@pytest.mark.parametrize(
    ("task", "step"), [(0, competition.common_step), (1, competition.rare_step)]
)
def test_one_neuron_is_example_7(task, step, sharpness):
    """A gradient step sends t to t -+ eta sin 2t, whatever the sharpness of its one gate."""
    for angle in np.linspace(0.01, 1.5, 7, dtype=np.float32):
        moved = angle - 0.05 * gradient(gated([angle], sharpness), task)
        np.testing.assert_allclose(moved, [step(angle, 0.05)], rtol=1e-6)


def test_a_sharp_gate_frees_the_second_neuron_from_the_common_task():
    """The common task holds the neuron that is best at it and turns the other one away."""
    slope = gradient(gated([0.3, 0.6], 100.0), 0)
    assert slope[0] > 0
    assert slope[1] < 0
    np.testing.assert_array_less(0, gradient(gated([0.3, 0.6], 0.0), 0))


def test_first_neurons_start_equal_however_many_there_are():
    """So that a second neuron is the only difference between two models."""
    with logical_names():
        draws = [
            np.asarray(Gated(n, 1.0, (0.2, 0.7), rngs=nnx.Rngs(5)).angle[...]) for n in (1, 2, 40)
        ]
    np.testing.assert_array_equal(draws[0], draws[1][:1])
    np.testing.assert_array_equal(draws[1], draws[2][:2])
    assert 0.2 <= draws[2].min() < 0.25
    assert 0.65 < draws[2].max() < 0.7
    assert len(set(draws[2].tolist())) == 40
