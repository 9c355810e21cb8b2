"""Initial weights and predictions of the bottleneck student, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from rare_retention.models.bottleneck import Bottleneck
from rare_retention.models.grouping import tile
from rare_retention.parallel import logical_names


def student(width, inputs=20, tasks=4, block=5, seed=0):
    with logical_names():
        return Bottleneck(width, inputs, tasks, block, rngs=nnx.Rngs(seed))


@pytest.mark.parametrize("width", [7, 20])
def test_encoder_starts_with_orthonormal_rows(width):
    """W W^T = I."""
    encoder = np.asarray(student(width).encoder[...], np.float64)
    assert encoder.shape == (width, 20)
    np.testing.assert_allclose(encoder @ encoder.T, np.eye(width), atol=1e-6)


def test_decoders_start_kaiming_uniform():
    """Uniform within sqrt(3 / N), so of variance 1 / N: fan-in N, gain 1, as in PyTorch."""
    width = 16
    decoders = np.asarray(student(width, tasks=32, block=30).decoders[...], np.float64)
    assert decoders.shape == (32, 30, width)
    bound = np.sqrt(3 / width)
    assert np.abs(decoders).max() <= bound
    assert stats.kstest(decoders.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-4
    error = np.sqrt(4 / 5 / decoders.size) / width
    assert abs(decoders.var() - 1 / width) < 5 * error


def test_encoders_of_different_draws_span_different_spaces():
    """The row space is uniform: on average a student captures N / D of any direction."""
    bases = [np.asarray(student(5, seed=s).encoder[...], np.float64) for s in range(40)]
    captured = np.mean([(b**2).sum(0) for b in bases], axis=0)
    np.testing.assert_allclose(captured.sum(), 5, atol=1e-5)
    np.testing.assert_allclose(captured, 5 / 20, atol=0.12)


def test_predictions_are_the_own_decoder_of_each_row():
    """yhat = D_k W x in the slot of each row."""
    model = student(7)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 4, 19).astype(np.int32)
    x = rng.standard_normal((19, 20)).astype(np.float32)

    @nnx.jit
    def predicted(model, x, ids):
        tiles = tile(ids, 4, 4)
        return tiles, model(x, tiles)

    tiles, found = predicted(model, x, ids)
    found = np.asarray(found)
    encoder = np.asarray(model.encoder[...], np.float64)
    decoders = np.asarray(model.decoders[...], np.float64)
    slots = np.asarray(tiles.slot)
    for row, task in enumerate(ids):
        expected = decoders[task] @ encoder @ x[row]
        np.testing.assert_allclose(found.reshape(-1, 5)[slots[row]], expected, atol=1e-5)


def test_gradients_reach_only_the_decoders_of_rows_present():
    """A task without rows gets a gradient of exactly zero."""
    graph, state = nnx.split(student(7))
    x = jax.random.normal(jax.random.key(1), (6, 20))

    def loss(weights):
        tiles = tile(jnp.array([0, 2, 2, 0, 2, 2]), 4, 4)
        prediction = nnx.merge(graph, weights)(x, tiles)
        return (jnp.square(prediction) * tiles.filled[..., None]).sum()

    grad = np.asarray(nnx.to_pure_dict(jax.jit(jax.grad(loss))(state))["decoders"])
    present = np.any(grad != 0, axis=(1, 2))
    np.testing.assert_array_equal(present, [True, False, True, False])
