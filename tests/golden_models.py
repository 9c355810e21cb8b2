"""Small models of other libraries (`models/golden`), and ours held against what they compute."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import nnx
from jax.sharding import NamedSharding

from rare_retention.mesh import MeshShape
from rare_retention.models.architecture import Architecture, Compute
from rare_retention.models.exchange import load
from rare_retention.models.vocabulary import logits, token_losses
from rare_retention.parallel import logical_names, make_mesh

GOLDEN = epath.Path(__file__).parent / "models" / "golden"
PIECES = 2 * 80 * 16  # logits of 16 positions of a golden batch: several pieces in every test


class Golden(NamedTuple):
    """A model of another library (`golden/make.py`) and what it makes of `tokens`."""

    shape: Architecture
    params: dict
    gradient: dict
    tokens: np.ndarray
    logits: np.ndarray
    loss: float


@functools.cache
def read(name):
    shape, params = load(GOLDEN / name)
    _, gradient = load(GOLDEN / name / "gradient")
    with np.load(GOLDEN / name / "golden.npz") as file:
        tokens = file["tokens"].astype(np.int32)
        return Golden(shape, params, gradient, tokens, file["logits"], float(file["loss"]))


def graph_of(shape, compute):
    with logical_names():
        return nnx.split(nnx.eval_shape(lambda: shape.build(compute, nnx.Rngs(0))))


@functools.cache
def drawer(shape):
    """draw(key): the pure dict of a freshly drawn model, compiled."""

    def draw(key):
        with logical_names():
            return nnx.to_pure_dict(nnx.state(shape.build(Compute(), nnx.Rngs(key))))

    return jax.jit(draw)


def with_weights(shape, compute):
    """model(params): a model with those weights."""
    graph, state = graph_of(shape, compute)

    def model(params):
        nnx.replace_by_pure_dict(own := jax.tree.map(lambda x: x, state), params)
        return nnx.merge(graph, own)

    return model


def applied(shape, compute):
    """hidden(params, tokens) of a model with those weights."""
    model = with_weights(shape, compute)
    return lambda params, tokens: model(params)(tokens)


def measured(shape, compute, largest=PIECES):
    """(mean loss, logits) and gradients by weight: f(params, tokens), compiled."""
    model = with_weights(shape, compute)

    def loss(params, tokens):
        own = model(params)
        last, words = own(tokens), own.readout
        # Of the last position, which has no target, any will do.
        losses = token_losses(last, words, jnp.roll(tokens, -1, 1), largest)
        return losses[:, :-1].mean(), logits(last, words)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def close(found, wanted, tolerance):
    """Equal in every leaf to that share of its largest element."""

    def one(path, found, wanted):
        bound = tolerance * np.abs(wanted).max()
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=0, atol=bound, err_msg=name)

    jax.tree_util.tree_map_with_path(one, found, wanted)


def agrees(golden, compute, tolerance=1e-5):
    (loss, scores), gradient = measured(golden.shape, compute)(golden.params, golden.tokens)
    assert abs(float(loss) - golden.loss) < tolerance * golden.loss
    close(scores, golden.logits, tolerance)
    close(gradient, golden.gradient, tolerance)


def agrees_on_a_mesh(golden, compute, whole=()):
    """On 2 x 2 x 2 devices, the rows twice, for there to be enough.

    Args:
        golden: a model.
        compute: how ours is computed.
        whole: weights that are not cut in four, by name.
    """
    with logical_names():
        specs = nnx.to_pure_dict(nnx.get_partition_spec(graph_of(golden.shape, compute)[1]))
    mesh = make_mesh(MeshShape(data=2, fsdp=2, model=2))
    with jax.set_mesh(mesh):
        shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
        params = jax.device_put(golden.params, shardings)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            if path[-1].key not in whole:
                assert leaf.addressable_shards[0].data.size * 4 == leaf.size
        twice = golden._replace(
            params=params,
            tokens=np.tile(golden.tokens, (2, 1)),
            logits=np.tile(golden.logits, (2, 1, 1)),
        )
        agrees(twice, compute)
