"""Gradients of the measured batch compared: inner products by task and by block (paper Fig. 9)."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rare_retention.config import config
from rare_retention.instruments.instrument import INSTRUMENTS, Followed, Instrument, Moment
from rare_retention.settings.family import WHOLE
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    import jax

    from rare_retention.settings.traced import Traced


class Vectors(NamedTuple):
    """The vectors that are compared, trees of leaves [R, ...] of one group.

    Their order is that of `evidence.gradients.names`.

    Attributes:
        watched: gradient of each watched task's terms in the batch.
        others: that of all other terms, and of parts of the loss that belong to no task.
        references: gradient of each watched task's reference loss.
        update: what the optimizer made of the batch's gradient.
    """

    watched: list[Any]
    others: Any
    references: list[Any]
    update: Any

    def each(self) -> list[Any]:
        """All of them in order."""
        return [*self.watched, self.others, *self.references, self.update]


@INSTRUMENTS.add
@config
class Gradients(Instrument):
    """Gram matrix of the gradients of a measured batch, of reference losses and of the update.

    Attributes:
        kind: tag of this instrument in a config tree.
    """

    kind: Literal["gradients"] = "gradients"

    def quantities(self, setting: Setting) -> dict[str, Quantity]:
        """Gram matrices, and of how many weights each is."""
        del setting
        meaning = (
            "inner products of gradients and the update on each block of weights; see "
            "`evidence.gradients`"
        )
        weights = "number of weights in each block"
        return {
            "gram": Quantity(("block", "vector", "other"), "squared loss unit", meaning),
            "block_weights": Quantity(("block",), "weights", weights),
        }

    def read(self, followed: Followed, moment: Moment) -> "dict[str, dict[str, jax.Array]]":
        """Each group's Gram matrices [R, block, V, V] and weights of blocks [R, block]."""
        del followed
        found = {
            group: _grams(moment.traced, vectors) for group, vectors in _vectors(moment).items()
        }
        return {
            "gram": {group: grams for group, (grams, _) in found.items()},
            "block_weights": {group: weights for group, (_, weights) in found.items()},
        }


def _vectors(moment: Moment) -> dict[str, Vectors]:
    """The vectors of each group."""
    import jax
    import jax.numpy as jnp

    from rare_retention.train.parts import parts, watched_parts

    traced, numbers = moment.traced, moment.numbers
    count = len(traced.objective.watch_ids)
    watched = moment.mean(
        lambda rows, key: watched_parts(traced, moment.params, rows, key, numbers)
    )
    with jax.default_matmul_precision(traced.family.finest_precision):
        reference = parts(
            lambda params: traced.reference(params, numbers), moment.params, jnp.eye(count)
        )
    others = jax.tree.map(lambda all_, own: all_ - own.sum(0), moment.gradient, watched)
    return {
        group: Vectors(
            list(_apart(watched[group], count)),
            others[group],
            list(_apart(reference[group], count)),
            moment.updates[group],
        )
        for group in moment.params
    }


def _apart(stacked: Any, count: int) -> Iterator[Any]:
    """Trees that stand along the first axis of a tree's leaves."""
    import jax

    for k in range(count):
        yield jax.tree.map(lambda leaf, k=k: leaf[k], stacked)


def _grams(traced: "Traced", vectors: Vectors) -> "tuple[jax.Array, jax.Array]":
    """Gram matrices of one group's V vectors, and how many weights they are of.

    Returns:
        [R, block, V, V] and [R, block], NaN where the group has no such block.
    """
    import jax.numpy as jnp

    from rare_retention.train.parts import gram

    family, objective = traced.family, traced.objective
    rarest = vectors.references[objective.watch_ids.index(objective.rarest)]
    blocks = [family.blocks(v) for v in vectors.each()]
    found = {name: gram([block[name] for block in blocks]) for name in blocks[0]}
    found[WHOLE] = jnp.stack(list(found.values())).sum(0)
    selected = [family.selections(v, rarest) for v in vectors.each()]
    found |= {name: gram([block[name] for block in selected]) for name in selected[0]}
    weights = {name: _weights(part) for name, part in (blocks[0] | selected[0]).items()}
    weights[WHOLE] = _weights(blocks[0])
    names, students = family.block_labels, len(found[WHOLE])
    missing = jnp.full_like(found[WHOLE], jnp.nan)  # smaller models have fewer layers
    counts = jnp.array([weights.get(name, jnp.nan) for name in names], jnp.float32)
    return (
        jnp.stack([found.get(name, missing) for name in names], axis=1),
        jnp.broadcast_to(counts, (students, len(names))),
    )


def _weights(tree: Params) -> float:
    """Weights of one student in a tree of leaves [R, ...]."""
    import jax

    return float(sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(tree)))
