"""What every language model gives to those who use it, held against its own whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from golden_models import drawer, with_weights
from jax.extend.core import subjaxprs

from rare_retention.models.architecture import Compute
from rare_retention.models.language_model import LanguageModel, Layer, Outputs
from rare_retention.models.llama_shape import LlamaShape
from rare_retention.models.olmo_shape import OlmoShape

SIZES = {"layers": 3, "hidden": 16, "mlp": 24, "heads": 4, "vocabulary": 30}
SHAPES = {
    "olmo": OlmoShape(**SIZES, norm="rms"),
    "olmo2": LlamaShape(**SIZES, query_key_norm=True, reordered_norm=True, kv_heads=2),
    "llama": LlamaShape(**SIZES, tied=True),
}
TOKENS = np.random.default_rng(0).integers(0, 30, (2, 7)).astype(np.int32)


@pytest.fixture(scope="module", params=SHAPES)
def model(request):
    shape = SHAPES[request.param]
    return with_weights(shape, Compute())(drawer(shape)(jax.random.key(1)))


def test_layers_alone_are_the_whole_model(model):
    @nnx.jit
    def both(model, tokens):
        x = model.embed(tokens)
        for index in range(model.shape.layers):
            layer = model.layer(index)
            x = x + layer.attention(x, "xla")
            x = x + layer.mlp(x)
        return model.normalise(x), model(tokens), model.forward(tokens)

    alone, whole, outputs = both(model, TOKENS)
    np.testing.assert_allclose(alone, whole, atol=1e-5)
    np.testing.assert_array_equal(outputs.hidden, whole)
    assert outputs.apart == outputs.recorded == {}


def test_words_and_weights_are_named_by_the_shape(model):
    shape, params = model.shape, nnx.to_pure_dict(nnx.state(model))
    assert set(params) == {*shape.other_weights, "layers"}
    assert set(params["layers"]) == set(shape.layer_weights)
    words = params["embedding" if "unembedding" not in params else "unembedding"]
    np.testing.assert_array_equal(model.readout, words)
    for name, axis in shape.neuron_axes.items():
        assert params["layers"][name].shape[1 + axis] == shape.mlp // 2
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == shape.parameters


def test_every_weight_has_a_gradient(model):
    graph, params = nnx.split(model)

    @jax.jit
    def gradient(params):
        def loss(params):
            own = nnx.merge(graph, params)
            scores = own(TOKENS) @ own.readout.T
            return -jax.nn.log_softmax(scores)[:, :, 3].mean()

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params)):
        assert np.any(np.asarray(leaf) != 0), jax.tree_util.keystr(path)


def test_what_a_layer_keeps_is_stacked():
    class Adds(Layer):
        def __init__(self, index):
            self.weight = nnx.Param(index.astype(jnp.float32))

        def attention(self, x, path):
            return self.weight[...]

        def mlp(self, x):
            return 0 * x

    class Model(LanguageModel):
        """Adds 0, 1 and 2, and tells what it has added."""

        def __init__(self):
            self.shape, self.compute = SHAPES["olmo"], Compute(remat="full", unroll=9)
            self.layers = nnx.vmap(Adds)(jnp.arange(3))
            self.embedding = nnx.Param(jnp.arange(10.0)[:, None])

        @property
        def readout(self):
            return self.embedding[...]

        def normalise(self, x):
            return x

        def forward(self, tokens):
            def step(layer, x):
                return x + layer.weight[...], layer.weight[...]

            x, kept = self.run(self.embed(tokens), step)
            return Outputs(x, {"balance": kept.sum()}, {"added": kept})

    model, tokens = Model(), jnp.asarray([[4, 5]])
    found = model.forward(tokens)
    np.testing.assert_array_equal(found.hidden, [[[7.0], [8.0]]])
    np.testing.assert_array_equal(model(tokens), found.hidden)
    np.testing.assert_array_equal(found.recorded["added"], [0, 1, 2])
    assert found.apart == {"balance": 3}


def exponentials(remat):
    """Exponentials that stand in a traced gradient of a loss, those of softmaxes among them."""
    shape = SHAPES["llama"]
    model = with_weights(shape, Compute(attention="blocked", remat=remat))(
        drawer(shape)(jax.random.key(1))
    )
    graph, params = nnx.split(model)

    def loss(params):
        return nnx.merge(graph, params)(TOKENS).sum()

    def count(jaxpr):
        here = sum(eqn.primitive.name == "exp" for eqn in jaxpr.eqns)
        return here + sum(map(count, subjaxprs(jaxpr)))

    return count(jax.make_jaxpr(jax.grad(loss))(params).jaxpr)


def test_what_attention_returned_is_not_computed_again():
    """The softmax of a block is computed forwards, for its own gradient, and no third time."""
    assert exponentials("attention") == exponentials("none") == exponentials("full") - 1
