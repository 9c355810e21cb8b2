"""Null interventions and task gradients against the whole model and its full gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from planted_models import drawn, grid

from rare_retention.models.architecture import Compute
from rare_retention.models.llama_shape import Llama, Olmo2
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.parallel import logical_names
from rare_retention.representation.neurons import gradient_sizes, null_effects, task_neurons
from rare_retention.representation.residuals import assemble

SIZES = {"layers": 2, "hidden": 16, "mlp": 24, "heads": 4, "vocabulary": 48}
SHAPES = {
    "olmo": OlmoShape(**SIZES),
    "olmo2": Olmo2(kv_heads=2).shape(**SIZES),
    "llama": Llama(tied=True).shape(**SIZES),
}
SYMBOLS = 5


@pytest.fixture(scope="module", params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.fixture(scope="module")
def params(shape):
    found = drawn(shape, seed=3)
    # The second layer is the stronger: what it adds is scaled by its norm, if that is the last.
    strong = "mlp_norm" if shape.kind == "olmo2" else "down"
    found["layers"][strong][1] *= 12
    if shape.kind != "olmo":  # drawn so small that all scores are nearly equal
        found["embedding"] *= 20
    return found


@pytest.fixture(scope="module")
def tokens():
    label = 2 + np.add.outer(np.arange(SYMBOLS), np.arange(SYMBOLS)) % SYMBOLS
    return np.concatenate([grid(SYMBOLS), label[..., None].astype(np.int32)], -1)


@functools.cache
def last_state(shape):
    """f(params, tokens): normalised states at the last position, from the whole model [n, D]."""
    with logical_names():
        graph = nnx.split(nnx.eval_shape(lambda: shape.build(Compute(), nnx.Rngs(0))))[0]
    return jax.jit(lambda params, tokens: nnx.merge(graph, params)(tokens)[:, -1])


def words(params):
    return params.get("unembedding", params["embedding"])


def scored(shape, params, tokens):
    """Scores of all words [n, V] and losses [n], float64."""
    flat = tokens.reshape(-1, 3)
    hidden = last_state(shape)(params, flat[:, :2])
    scores = np.asarray(hidden, np.float64) @ np.asarray(words(params), np.float64).T
    total = np.log(np.exp(scores).sum(-1))
    return scores, total - scores[np.arange(len(flat)), flat[:, 2]]


def test_a_null_intervention_is_a_model_without_that_mlp(shape, params, tokens):
    found = null_effects(assemble(shape, params), tokens)
    scores, loss = scored(shape, params, tokens)
    labels = np.unique(tokens[..., 2])
    for layer in range(shape.layers):
        without = jax.tree.map(np.copy, params)
        without["layers"]["down"][layer] = 0
        other, other_loss = scored(shape, without, tokens)
        effect = np.abs(other - scores)[:, labels].mean()
        assert found.scores[layer] == pytest.approx(effect, rel=1e-3)
        assert found.loss[layer] == pytest.approx((other_loss - loss).mean(), abs=1e-4)
    assert found.strongest == 2


def gradient(shape, params, tokens):
    """Of the task's mean loss on all layers."""
    flat = tokens.reshape(-1, 3)

    def loss(params):
        scores = last_state(shape)(params, flat[:, :2]) @ words(params).T
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), flat[:, 2:], 1).mean()

    return jax.jit(jax.grad(loss))(params)["layers"]


def test_gradients_of_neurons_are_those_of_the_whole_model(shape, params, tokens):
    whole, layer = gradient(shape, params, tokens), 1
    parts = [np.asarray(whole[name][layer - 1], np.float64) for name in ("gate_up", "down")]
    expected = np.array(
        [
            np.sqrt(np.square(parts[0][:, :, m]).sum() + np.square(parts[1][m]).sum())
            for m in range(12)
        ]
    )
    model = assemble(shape, params)
    np.testing.assert_allclose(gradient_sizes(model, tokens, layer), expected, rtol=1e-4)
    named = task_neurons(model, tokens, layer, 5)
    assert named.tolist() == sorted(range(12), key=lambda m: -expected[m])[:5]
    assert len(task_neurons(model, tokens, layer, 99)) == 12
