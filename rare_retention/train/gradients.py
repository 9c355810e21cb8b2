"""Per-task gradients of one batch, and the inner products that say how they interfere.

The loss of a batch is a sum over tasks, so its gradient is a sum of parts. A part is one backward
pass from the same forward pass, with a cotangent that selects the tasks of the part.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Losses = Callable[[Any], dict[str, jax.Array]]
"""Parameters -> for each group of students the loss split by task, [R, K]."""


def gradient(losses: Losses, params: Any) -> tuple[dict[str, jax.Array], Any]:
    """Losses by task and the gradient of their sum, for all students at once.

    Students do not share parameters, so the gradient of the sum over students is each student's
    own gradient.
    """

    def total(p: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        split = losses(p)
        return jnp.stack([loss.sum() for loss in split.values()]).sum(), split

    grads, split = jax.grad(total, has_aux=True)(params)
    return split, grads


def parts(losses: Losses, params: Any, select: jax.Array) -> Any:
    """Gradients of parts of the loss.

    Args:
        losses: the batch's losses as a function of the parameters.
        params: weights of all students.
        select: weight of each loss in each part, [P, K]; where its rows sum to ones, the parts sum
            to the gradient of the sum of the losses.

    Returns:
        The parameters' tree, every leaf with a leading axis of P parts.
    """
    split, pullback = jax.vjp(losses, params)

    def part(weights: jax.Array) -> Any:
        cotangent = {name: jnp.broadcast_to(weights, loss.shape) for name, loss in split.items()}
        return pullback(cotangent)[0]

    return jax.lax.map(part, select)


def gram(tree: Any) -> jax.Array:
    """Inner products of gradients with each other, [R, V, V], for each student.

    Whatever the students are trained in, products are taken in float32.

    Args:
        tree: leaves [V, R, ...], of V gradients on some of one group's weights.
    """

    def inner(leaf: jax.Array) -> jax.Array:
        flat = leaf.astype(jnp.float32).reshape(*leaf.shape[:2], -1)
        return jnp.einsum("prx,qrx->rpq", flat, flat, precision=jax.lax.Precision.HIGHEST)

    return sum((inner(leaf) for leaf in jax.tree.leaves(tree)), start=jnp.float32(0.0))
