"""Scores of language models in float64, from their hidden states alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rare_retention.models import vocabulary
from rare_retention.models.olmo import Compute, Olmo
from rare_retention.parallel import logical_names


@functools.cache
def scorer(setting, group):
    """Hidden states and scores of the models of a group, one after another."""
    shape = setting.architectures[group]
    with logical_names():
        graph = nnx.split(nnx.eval_shape(lambda: Olmo(shape, Compute(), rngs=nnx.Rngs(0))))[0]

    @jax.jit
    def scores(weights, tokens):
        def one(own):
            model = nnx.merge(graph, own)
            return vocabulary.logits(model(tokens), model.unembedding[...])

        return jax.lax.map(one, weights)

    return scores


def words(setting, params, group, tokens):
    """Log-probabilities of the next token [R, n, T, V] in float64, from the models' scores."""
    logits = np.asarray(scorer(setting, group)(params[group], jnp.asarray(tokens)), np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def at(logs, targets):
    """Loss [R, n, m] of targets [n, m] from log-probabilities [R, n, m, V]."""
    return -np.take_along_axis(logs, targets[None, ..., None].astype(int), axis=-1)[..., 0]
