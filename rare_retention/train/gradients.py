"""Per-task gradients of one batch, and the scalars that describe how they interfere.

The loss of a batch is a sum over tasks, so its gradient is a sum of parts. A part is one backward
pass from the same forward pass, with a cotangent that selects the tasks of the part.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

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
        select: weight of each task in each part, [P, K]; where its rows sum to ones, the parts sum
            to the gradient of the training loss.

    Returns:
        The parameters' tree, every leaf with a leading axis of P parts.
    """
    split, pullback = jax.vjp(losses, params)

    def part(weights: jax.Array) -> Any:
        cotangent = {name: jnp.broadcast_to(weights, loss.shape) for name, loss in split.items()}
        return pullback(cotangent)[0]

    return jax.lax.map(part, select)


class Interference(NamedTuple):
    """How the gradients of two parts of a batch relate, for each student.

    Attributes:
        norms: norm of each part, [R, P].
        cosines: cosine of each pair of parts, [R, P, P]; 0 where a part is zero.
    """

    norms: jax.Array
    cosines: jax.Array


def interference(stack: Any) -> Interference:
    """Gram matrix of parts of one group's gradient, reduced to norms and cosines.

    Args:
        stack: tree of one group, leaves [P, R, ...] as `parts` returns them.
    """

    def gram(leaf: jax.Array) -> jax.Array:
        flat = leaf.reshape(*leaf.shape[:2], -1)
        return jnp.einsum("prx,qrx->rpq", flat, flat)

    total = sum(gram(leaf) for leaf in jax.tree.leaves(stack))
    norms = jnp.sqrt(jnp.diagonal(total, axis1=-2, axis2=-1))
    scale = norms[..., :, None] * norms[..., None, :]
    return Interference(norms, jnp.where(scale > 0, total / jnp.where(scale > 0, scale, 1.0), 0.0))
