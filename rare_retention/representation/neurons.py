"""Which layers and neurons answer for a task: null interventions and task gradients (Figs. 9, 10).

The null intervention on an MLP layer sets what it adds to the residual stream to zero, at every
position. Its effect is the mean over instances and labels of the absolute change of the labels'
scores, where the answer is read.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from rare_retention.models import vocabulary
from rare_retention.models.language_model import LanguageModel
from rare_retention.representation.residuals import advance, answer


class Effects(NamedTuple):
    """What the null intervention on each MLP layer does.

    Attributes:
        scores: mean absolute change of the labels' logits [L].
        loss: change of the task's loss, in nats [L].
    """

    scores: NDArray[np.float64]
    loss: NDArray[np.float64]

    @property
    def strongest(self) -> int:
        """The layer with the largest effect on the scores, 1 to L."""
        return int(self.scores.argmax()) + 1


def null_effects(model: LanguageModel, tokens: NDArray[np.integer]) -> Effects:
    """Null interventions on every MLP layer, one at a time.

    Args:
        model: that is run.
        tokens: TOK1, TOK2 and LABEL of all pairs of values [S, S, 3].
    """
    labels = jnp.asarray(np.unique(tokens[..., 2]), jnp.int32)
    found = _null_effects(model, jnp.asarray(tokens, jnp.int32), labels)
    return Effects(*(np.asarray(each, np.float64) for each in found))


def task_neurons(
    model: LanguageModel, tokens: NDArray[np.integer], layer: int, count: int
) -> NDArray[np.int64]:
    """Neurons of an MLP layer by the magnitude of the task's gradient, the largest first [count].

    Args:
        model: whose gradient is taken.
        tokens: TOK1, TOK2 and LABEL of all pairs of values [S, S, 3].
        layer: 1 to L.
        count: neurons wanted, at most M / 2.
    """
    size = gradient_sizes(model, tokens, layer)
    return np.argsort(-size, kind="stable")[:count]


def gradient_sizes(
    model: LanguageModel, tokens: NDArray[np.integer], layer: int
) -> NDArray[np.float64]:
    """Norm of the gradient of the task's loss over each neuron's weights, [M / 2].

    Those of neuron m stand where `Architecture.neuron_axes` says: in a SwiGLU, its gate and its
    input, `gate_up[:, :, m]`, and its output, `down[m]`.

    Args:
        model: whose gradient is taken.
        tokens: TOK1, TOK2 and LABEL of all pairs of values [S, S, 3]; the loss is their mean.
        layer: 1 to L.
    """
    return np.asarray(_gradient_sizes(model, jnp.asarray(tokens, jnp.int32), layer), np.float64)


@nnx.jit
def _null_effects(
    model: LanguageModel, tokens: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    count = model.shape.layers
    keep = 1 - jnp.eye(count, dtype=jnp.float32)

    def asked(tokens: jax.Array, keep: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        last = answer(model, advance(model, model.embed(tokens[:, :2]), 0, count, keep))
        words = model.readout
        loss = vocabulary.losses(last, words, tokens[:, 2]).mean()
        return vocabulary.logits(last, words[labels]), loss

    def row(tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores, loss = asked(tokens, None)

        def change(keep: jax.Array) -> tuple[jax.Array, jax.Array]:
            without, other = asked(tokens, keep)
            return jnp.abs(without - scores).mean(), other - loss

        return jax.lax.map(change, keep)

    effects, losses = jax.lax.map(row, tokens)
    return effects.mean(0), losses.mean(0)


@nnx.jit(static_argnums=2)
def _gradient_sizes(model: LanguageModel, tokens: jax.Array, layer: int) -> jax.Array:
    graph, state = nnx.split(model)
    params = nnx.to_pure_dict(state)
    axes = model.shape.neuron_axes

    def loss(own: dict[str, jax.Array], tokens: jax.Array) -> jax.Array:
        stacks = {name: params["layers"][name].at[layer - 1].set(own[name]) for name in axes}
        changed = nnx.merge(graph, params | {"layers": params["layers"] | stacks})
        last = answer(
            changed, advance(changed, changed.embed(tokens[:, :2]), 0, model.shape.layers)
        )
        return vocabulary.losses(last, changed.readout, tokens[:, 2]).mean()

    own = {name: params["layers"][name][layer - 1] for name in axes}
    zeros = jax.tree.map(jnp.zeros_like, own)
    total, _ = jax.lax.scan(
        lambda sums, row: (jax.tree.map(jnp.add, sums, jax.grad(loss)(own, row)), None),
        zeros,
        tokens,
    )
    squares = [
        jnp.square(total[name]).sum(tuple(i for i in range(total[name].ndim) if i != axis))
        for name, axis in axes.items()
    ]
    return jnp.sqrt(sum(squares)) / len(tokens)
