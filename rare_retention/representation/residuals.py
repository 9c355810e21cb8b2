"""Running a language model layer by layer: its stream after the embedding and after each layer.

An intervention needs no hooks: advance to a state, change it, advance from there.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from rare_retention.models.architecture import Architecture, Compute
from rare_retention.models.language_model import LanguageModel
from rare_retention.parallel import logical_names

_ROWS = 256  # prompts that run at once


def assemble(shape: Architecture, params: Any) -> LanguageModel:
    """A model with these weights that computes in float32.

    Args:
        shape: of the model.
        params: its pure dict, as snapshots and `models.exchange.load` have it.
    """
    with logical_names():
        graph, _ = nnx.split(nnx.eval_shape(lambda: shape.build(Compute(), nnx.Rngs(0))))
    return nnx.merge(graph, jax.tree.map(jnp.asarray, params))


def advance(
    model: LanguageModel, x: jax.Array, start: int, stop: int, keep: jax.Array | None = None
) -> jax.Array:
    """State `stop` from state `start`.

    Args:
        model: whose layers are run.
        x: state `start`, [B, T, D].
        start: number of layers behind `x`.
        stop: number of layers behind the result.
        keep: share of each MLP's output that is added, [L]; None keeps all. The null intervention
            on layer l has 0 in place l - 1 (Fig. 10).
    """
    for index in range(start, stop):
        layer = model.layer(index)
        x = x + layer.attention(x, model.compute.attention)
        added = layer.mlp(x)
        x = x + (added if keep is None else keep[index] * added)
    return x


def states(model: LanguageModel, tokens: jax.Array) -> jax.Array:
    """All states, [B, L + 1, T, D].

    Args:
        model: that is run.
        tokens: ids [B, T].
    """
    found = [model.embed(tokens)]
    for index in range(model.shape.layers):
        found.append(advance(model, found[-1], index, index + 1))
    return jnp.stack(found, axis=1)


def answer(model: LanguageModel, x: jax.Array) -> jax.Array:
    """Normalised last state at the last position, [B, D], from which the next token is read.

    Args:
        model: whose last norm is applied.
        x: state L, [B, T, D].
    """
    return model.normalise(x)[:, -1]


def activations(
    model: LanguageModel, tokens: NDArray[np.integer], positions: tuple[int, ...]
) -> NDArray[np.float32]:
    """All states of any prompts at chosen positions, float32 [n, L + 1, positions, D].

    Args:
        model: that is run.
        tokens: ids of the prompts [n, T].
        positions: places in the prompt.
    """
    parts = [
        np.asarray(_activations(model, jnp.asarray(tokens[i : i + _ROWS], jnp.int32), positions))
        for i in range(0, len(tokens), _ROWS)
    ]
    return np.concatenate(parts)


@nnx.jit(static_argnums=2)
def _activations(model: LanguageModel, tokens: jax.Array, positions: tuple[int, ...]) -> jax.Array:
    return states(model, tokens)[:, :, positions, :].astype(jnp.float32)
