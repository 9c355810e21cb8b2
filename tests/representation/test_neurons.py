"""Null interventions and task gradients against the whole model and its full gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from planted_models import drawn, grid

from rare_retention.models.architecture import Architecture, Compute
from rare_retention.models.olmo import Olmo
from rare_retention.parallel import logical_names
from rare_retention.representation.neurons import gradient_sizes, null_effects, task_neurons
from rare_retention.representation.residuals import assemble

SHAPE = Architecture(layers=2, hidden=16, mlp=24, heads=4, vocabulary=48)
SYMBOLS = 5


@pytest.fixture(scope="module")
def params():
    found = drawn(SHAPE, seed=3)
    found["layers"]["down"][1] *= 12  # the second layer is the stronger
    return found


@pytest.fixture(scope="module")
def tokens():
    label = 2 + np.add.outer(np.arange(SYMBOLS), np.arange(SYMBOLS)) % SYMBOLS
    return np.concatenate([grid(SYMBOLS), label[..., None].astype(np.int32)], -1)


@functools.cache
def graph():
    with logical_names():
        return nnx.split(nnx.eval_shape(lambda: Olmo(SHAPE, Compute(), rngs=nnx.Rngs(0))))[0]


@jax.jit
def last_state(params, tokens):
    """Normalised states at the last position, from the model as a whole [n, D]."""
    return nnx.merge(graph(), params)(tokens)[:, -1]


def scored(params, tokens):
    """Scores of all words [n, V] and losses [n], float64."""
    flat = tokens.reshape(-1, 3)
    hidden = last_state(params, flat[:, :2])
    scores = np.asarray(hidden, np.float64) @ np.asarray(params["unembedding"], np.float64).T
    total = np.log(np.exp(scores).sum(-1))
    return scores, total - scores[np.arange(len(flat)), flat[:, 2]]


def test_a_null_intervention_is_a_model_without_that_mlp(params, tokens):
    found = null_effects(assemble(SHAPE, params), tokens)
    scores, loss = scored(params, tokens)
    labels = np.unique(tokens[..., 2])
    for layer in range(SHAPE.layers):
        without = jax.tree.map(np.copy, params)
        without["layers"]["down"][layer] = 0
        other, other_loss = scored(without, tokens)
        effect = np.abs(other - scores)[:, labels].mean()
        assert found.scores[layer] == pytest.approx(effect, rel=1e-3)
        assert found.loss[layer] == pytest.approx((other_loss - loss).mean(), abs=1e-4)
    assert found.strongest == 2


def gradient(params, tokens):
    """Of the task's mean loss on all layers."""
    flat = tokens.reshape(-1, 3)

    def loss(params):
        scores = last_state(params, flat[:, :2]) @ params["unembedding"].T
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), flat[:, 2:], 1).mean()

    return jax.jit(jax.grad(loss))(params)["layers"]


def test_gradients_of_neurons_are_those_of_the_whole_model(params, tokens):
    whole, layer = gradient(params, tokens), 1
    parts = [np.asarray(whole[name][layer - 1], np.float64) for name in ("gate_up", "down")]
    expected = np.array(
        [
            np.sqrt(np.square(parts[0][:, :, m]).sum() + np.square(parts[1][m]).sum())
            for m in range(12)
        ]
    )
    model = assemble(SHAPE, params)
    np.testing.assert_allclose(gradient_sizes(model, tokens, layer), expected, rtol=1e-4)
    named = task_neurons(model, tokens, layer, 5)
    assert named.tolist() == sorted(range(12), key=lambda m: -expected[m])[:5]
    assert len(task_neurons(model, tokens, layer, 99)) == 12
