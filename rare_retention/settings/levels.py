"""How much of an answer a model knows, apart from whether it knows what answers look like.

The loss of a label falls for two reasons: the model finds out which tokens are labels at all, and
which of them is right. The first, the *format*, is learned from any instance; the second, the
*answer*, is the task. Training on other text shifts and scales the scores of the labels at random,
without any effect on which instance has the higher one, so an answer is counted after the best
shift and scale.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

_STEPS = 12  # of Newton's method; it has converged after six where scores can tell labels apart
_INNER = 24  # products with the Hessian in each of them
_DAMPING = 1e-4
_SHARES = (1.0, 0.5, 0.1, 0.02, 0.0)  # of a Newton step that are tried; the last one stays


class Levels(NamedTuple):
    """What a model knows of a task, each a scalar.

    Attributes:
        answer: 1 - CE / ln c with CE the mean cross-entropy of the right one of c labels, under the
            softmax of a s + b over the labels, with the scale a >= 0 and the shifts b of each label
            that make it least: 0 where the scores tell nothing, 1 where they tell all.
        format: mean log of the probability mass on all labels, in nats, at most 0.
        auc: probability that an instance whose answer is the first label has a higher score of it,
            against the second, than one whose answer is the second; NaN unless there are two labels
            and instances of both.
    """

    answer: jax.Array
    format: jax.Array
    auc: jax.Array


def levels(scores: jax.Array, right: jax.Array, mass: jax.Array) -> Levels:
    """Levels of a task from the scores of its labels.

    Args:
        scores: logits of the c labels for each of n instances, float32 [n, c].
        right: which label is right, int [n].
        mass: log of the probability of all labels together, [n].
    """
    count = scores.shape[1]
    answer = 1 - _least_entropy(scores, right) / math.log(count)
    auc = _auc(scores[:, 0] - scores[:, 1], right == 0) if count == 2 else jnp.nan
    return Levels(answer, mass.mean(), jnp.asarray(auc, jnp.float32))


def _least_entropy(scores: jax.Array, right: jax.Array) -> jax.Array:
    """Cross-entropy under the best scale and shifts; a convex problem, by damped Newton steps.

    It begins with the scores themselves, centred on the mean of each label, and with shifts from
    how often each label is right: what it finds is never worse than that.
    """
    count = scores.shape[1]
    hot = jax.nn.one_hot(right, count)
    centred = scores - scores.mean(1, keepdims=True)
    centred = centred - centred.mean(0, keepdims=True)
    spread = jnp.sqrt(jnp.square(centred).mean()) + 1e-6
    plain = centred / spread
    often = jnp.log(hot.mean(0) + 1 / len(scores))

    def entropy(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        scale, shift = weights
        logs = jax.nn.log_softmax(jnp.maximum(scale, 0.0) * plain + shift[None])
        return -(hot * logs).sum(1).mean()

    def step(_: jax.Array, weights: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        gradient = jax.grad(entropy)(weights)

        def curved(v: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            product = jax.jvp(jax.grad(entropy), (weights,), (v,))[1]
            return product[0] + _DAMPING * v[0], product[1] + _DAMPING * v[1]

        newton, _ = jax.scipy.sparse.linalg.cg(curved, gradient, maxiter=_INNER)
        tried = [
            (weights[0] - share * newton[0], weights[1] - share * newton[1]) for share in _SHARES
        ]
        values = jnp.stack([entropy(each) for each in tried])
        best = jnp.nanargmin(values)
        scales, shifts = (jnp.stack([each[i] for each in tried]) for i in (0, 1))
        return scales[best], shifts[best]

    starts = [(spread, often), (jnp.zeros(()), often)]
    found = [entropy(jax.lax.fori_loop(0, _STEPS, step, start)) for start in starts]
    return jnp.minimum(found[0], found[1])


def _auc(scores: jax.Array, positive: jax.Array) -> jax.Array:
    """Area under the ROC curve, ties counted half; NaN where one kind has no instance."""
    above = jnp.sign(scores[:, None] - scores[None, :])
    pairs = positive[:, None] & ~positive[None, :]
    wins = jnp.where(pairs, (above + 1) / 2, 0.0).sum()
    return wins / pairs.sum().astype(wins.dtype)  # 0 / 0 is NaN
