"""Gated neurons against NumPy in float64, and one neuron against Example 7."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.models.gated import Gated
from rare_retention.parallel import logical_names
from rare_retention.theory import one_neuron


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


@functools.cache
def compiled(count, sharpness):
    """Angles [n] -> losses [2], their gradients [2, n] and alignments [2, n]."""
    graph, state = nnx.split(gated(np.zeros(count), sharpness))

    def model(angles):
        return nnx.merge(graph, jax.tree.map(lambda _: angles, state))

    def evaluate(angles):
        slopes = jax.jacrev(lambda a: model(a)())(angles)
        return model(angles)(), slopes, model(angles).alignment()

    return jax.jit(evaluate)


def evaluate(angles, sharpness):
    angles = np.asarray(angles, np.float32)
    return [np.asarray(a, np.float64) for a in compiled(len(angles), sharpness)(angles)]


def differences(angles, sharpness):
    """Gradients [2, n] by central differences."""
    steps = 1e-5 * np.eye(len(angles))
    ahead, behind = (
        np.stack([expected_losses(angles + sign * step, sharpness) for step in steps], axis=1)
        for sign in (1, -1)
    )
    return (ahead - behind) / 2e-5


ANGLES = st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3)


@settings(deadline=None, max_examples=100)
@given(ANGLES, st.sampled_from([0.0, 3.0, 30.0]))
def test_losses_and_gradients_are_those_of_gated_unit_neurons(angles, sharpness):
    """Any angles, with equal, soft and sharp gates; gradients go through the gates as well."""
    losses, slopes, alignment = evaluate(angles, sharpness)
    np.testing.assert_allclose(losses, expected_losses(angles, sharpness), atol=1e-5)
    np.testing.assert_allclose(slopes, differences(angles, sharpness), atol=2e-4)
    cosine = np.cos(np.array(angles))
    np.testing.assert_allclose(alignment, [cosine**2, 1 - cosine**2], atol=1e-6)


@pytest.mark.parametrize("sharpness", [0.0, 100.0])
@pytest.mark.parametrize(("task", "step"), [(0, one_neuron.common_step), (1, one_neuron.rare_step)])
def test_one_neuron_is_example_7(task, step, sharpness):
    """A gradient step sends t to t -+ eta sin 2t, whatever the sharpness of its one gate."""
    for angle in np.linspace(0.01, 1.5, 7, dtype=np.float32):
        moved = angle - 0.05 * evaluate([angle], sharpness)[1][task]
        np.testing.assert_allclose(moved, [step(angle, 0.05)], rtol=1e-6)


def test_a_sharp_gate_frees_the_second_neuron_from_the_common_task():
    """The common task holds the neuron that is best at it and turns the other one away."""
    slope = evaluate([0.3, 0.6], 100.0)[1][0]
    assert slope[0] > 0
    assert slope[1] < 0
    np.testing.assert_array_less(0, evaluate([0.3, 0.6], 0.0)[1][0])


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
