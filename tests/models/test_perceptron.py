"""Initial weights and logits of the perceptron, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from rare_retention.models.perceptron import Perceptron
from rare_retention.parallel import logical_names


def student(width, tasks=30, bits=20, seed=0):
    with logical_names():
        return Perceptron(width, tasks, bits, rngs=nnx.Rngs(seed))


@pytest.mark.parametrize(("name", "fan_in"), [("bits", 50), ("control", 50), ("output", 400)])
def test_weights_start_uniform_within_one_over_the_root_of_the_fan_in(name, fan_in):
    """As linear layers of PyTorch: of the variance 1 / (3 fan-in)."""
    weights = np.asarray(getattr(student(400), name)[...], np.float64).ravel()
    bound = fan_in**-0.5
    assert np.abs(weights).max() <= bound
    assert stats.kstest(weights, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-4


def test_biases_start_within_the_same_bounds():
    model = student(400)
    assert np.abs(model.bias[...]).max() <= 50**-0.5
    assert np.abs(model.output_bias[...]).max() <= 400**-0.5
    assert len(np.unique(model.bias[...])) > 390


@pytest.mark.parametrize("alone", [False, True], ids=["rows of many tasks", "one task"])
def test_logits_are_those_of_a_dense_layer_on_one_hot_tasks(alone):
    """relu([control bits, task bits] W + b) V + c in float64."""
    model = student(7, tasks=4, bits=6)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (11, 6))
    task = np.full(11, 2) if alone else rng.integers(0, 4, 11)

    @nnx.jit
    def logits(model, bits, task):
        return model(model.shared(bits), task)

    asked = jnp.int32(2) if alone else jnp.asarray(task, jnp.int32)
    found = logits(model, jnp.asarray(bits, jnp.float32), asked)

    def weights(name):
        return np.asarray(getattr(model, name)[...], np.float64)

    first = np.concatenate([weights("control"), weights("bits")])
    inputs = np.concatenate([np.eye(4)[task], bits], axis=1)
    hidden = np.maximum(inputs @ first + weights("bias"), 0)
    expected = hidden @ weights("output") + weights("output_bias")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_students_of_different_seeds_differ():
    one, other = (jax.tree.leaves(nnx.state(student(3, seed=seed))) for seed in (0, 1))
    assert all(np.all(a != b) for a, b in zip(one, other, strict=True))
