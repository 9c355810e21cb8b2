"""Small OLMo models whose weights are set by hand, so that what they represent is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rare_retention.models.architecture import Compute
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.parallel import logical_names
from rare_retention.representation.residuals import assemble

YES, NO = 0, 1


@functools.cache
def _draw(shape):
    def draw(key):
        return nnx.to_pure_dict(nnx.state(shape.build(Compute(), nnx.Rngs(key))))

    return jax.jit(draw)


def drawn(shape, seed=0):
    """The pure dict of a freshly drawn model."""
    with logical_names():
        return jax.tree.map(np.array, _draw(shape)(jax.random.key(seed)))


def zeros(shape):
    """The pure dict of a model that does nothing."""
    with logical_names():
        leaves = jax.eval_shape(_draw(shape), jax.random.key(0))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), leaves)


def grid(symbols, first=2):
    """TOK1 and TOK2 of all pairs of values [S, S, 2]; value v is token `first` + v."""
    value = np.arange(first, first + symbols)
    return np.stack(np.meshgrid(value, value, indexing="ij"), -1).astype(np.int32)


def own_answers(model, pairs):
    """The pairs with the answers that the model itself gives [S, S, 3]: a task that it knows."""
    flat = jnp.asarray(pairs.reshape(-1, 2))
    scores = model(flat)[:, -1] @ model.readout.T
    found = np.asarray(scores.argmax(-1), np.int32).reshape(*pairs.shape[:2], 1)
    return np.concatenate([pairs, found], -1)


def weigher(symbols=24, hidden=16, seed=0):
    """A model that weighs two values against each other, and the direction that they stand in.

    Symbols are their value along one direction and noise beside it. The first layer does nothing.
    In the second all positions look at all others alike, and see that direction alone; the answer
    is YES where what has gathered there is above 0.
    """
    rng = np.random.default_rng(seed)
    shape = OlmoShape(layers=2, hidden=hidden, mlp=8, heads=1, vocabulary=symbols + 2)
    basis = np.linalg.qr(np.column_stack([np.ones(hidden), rng.standard_normal((hidden, hidden))]))
    direction, noise = basis[0][:, 1], basis[0][:, 2:]  # without a mean: LayerNorm takes it away
    value = np.linspace(-1, 1, symbols)
    params = zeros(shape)
    beside = rng.standard_normal((symbols, noise.shape[1])) @ noise.T
    beside *= 6 / np.linalg.norm(beside, axis=1, keepdims=True)
    params["embedding"][2:] = value[:, None] * direction + beside
    params["layers"]["qkv"][1, :, 2, 0, 0] = direction
    params["layers"]["out"][1, 0, 0] = 12 * direction
    params["unembedding"][YES], params["unembedding"][NO] = 30 * direction, -30 * direction
    model = assemble(shape, params)
    return model, own_answers(model, grid(symbols)), direction


def circles(symbols, frequencies, layers=2, seed=0):
    """A model whose symbols stand on circles of these frequencies, at places of equal radius."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.outer(np.arange(symbols), frequencies) / symbols
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    hidden = 2 * (waves.shape[1] // 2 + 1)
    shape = OlmoShape(layers=layers, hidden=hidden, mlp=4, heads=1, vocabulary=symbols + 2)
    params = zeros(shape)
    turned = np.linalg.qr(rng.standard_normal((hidden, hidden)))[0][: waves.shape[1]]
    params["embedding"][2:] = waves @ turned
    return assemble(shape, params)
