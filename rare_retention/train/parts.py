"""Per-task gradients of one batch, and the inner products that say how they interfere.

The loss of a batch is a sum over tasks, so its gradient is a sum of parts. A part is one backward
pass from the same forward pass, with a cotangent that selects the tasks of the part.
"""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import jax
import jax.numpy as jnp

from rare_retention.settings.mixture import Batch
from rare_retention.settings.objective import Losses, Numbers
from rare_retention.settings.student import Params
from rare_retention.settings.traced import Traced

ByTask = Callable[[Params], dict[str, jax.Array]]
"""Parameters -> for each group of students losses by task, [R, K]."""


def gradient(
    losses: Callable[[Params], dict[str, Losses]], params: Params
) -> tuple[dict[str, Losses], Params]:
    """Losses in their parts and the gradient of their sum, for all students at once.

    Students do not share parameters, so the gradient of the sum over students is each student's
    own gradient.
    """

    def total(p: Params) -> tuple[jax.Array, dict[str, Losses]]:
        split = losses(p)
        sums = [part.sum() for own in split.values() for part in (own.by_task, *own.apart.values())]
        return jnp.stack(sums).sum(), split

    grads, split = jax.grad(total, has_aux=True)(params)
    return split, grads


def parts(
    losses: ByTask,
    params: Params,
    select: jax.Array,
    of: Callable[[Params], Any] = lambda part: part,
) -> Any:
    """Gradients of parts of the loss, or what is to be known of each.

    Args:
        losses: the batch's losses as a function of the parameters.
        params: weights of all students.
        select: weight of each loss in each part, [P, K]; where its rows sum to ones, the parts sum
            to the gradient of the sum of the losses.
        of: what is kept of a part, a tree of arrays; by default all of it. Parts come one after
            another, so that what is not kept of one is not in memory during the next.

    Returns:
        What `of` returns, by default the parameters' tree, every leaf with a leading axis of P
        parts.
    """
    split, pullback = jax.vjp(losses, params)

    def part(weights: jax.Array) -> Any:
        cotangent = {name: jnp.broadcast_to(weights, loss.shape) for name, loss in split.items()}
        return of(pullback(cotangent)[0])

    return jax.lax.map(part, select)


def watched_parts(
    traced: Traced, params: Params, rows: Batch, key: jax.Array, numbers: Numbers
) -> Params:
    """Gradient of each watched task's contribution to a batch's loss.

    Args:
        traced: the models and their losses.
        params: weights of all students.
        rows: of the batch.
        key: the step's key.
        numbers: of the setting.

    Returns:
        The parameters' tree, every leaf with a leading axis of the watched tasks.
    """
    each = jnp.eye(len(traced.objective.watch_ids))
    return parts(lambda p: traced.watched_losses(p, rows, key, numbers), params, each)


def inner(first: Any, second: Any) -> jax.Array:
    """Inner product of two gradients, [R], for each student.

    Whatever the students are trained in, products are taken in float32.

    Args:
        first: on some of one group's weights, a tree of leaves [R, ...].
        second: the same.
    """

    def of_leaf(one: jax.Array, other: jax.Array) -> jax.Array:
        products = one.astype(jnp.float32) * other.astype(jnp.float32)
        return products.sum(range(1, products.ndim))

    leaves = jax.tree.leaves(first), jax.tree.leaves(second)
    return sum(map(of_leaf, *leaves), start=jnp.float32(0.0))


def gram(vectors: Sequence[Any]) -> jax.Array:
    """Inner products of gradients with each other, [R, V, V], for each student.

    Each is a sum of its own: XLA takes them all in one pass over the weights, where a matrix
    product would first stack and transpose the gradients.

    Args:
        vectors: V gradients, as for `inner`.
    """
    found: dict[tuple[int, int], jax.Array] = {}
    for i, j in combinations_with_replacement(range(len(vectors)), 2):
        found[i, j] = found[j, i] = inner(vectors[i], vectors[j])
    rows = [jnp.stack([found[i, j] for j in range(len(vectors))], -1) for i in range(len(vectors))]
    return jnp.stack(rows, -2)
