"""Digests of arrays that do not depend on how they are sharded.

Checkpoint stores check little of what they read back: most flipped bits in a payload restore
silently. A digest is computed on the devices before a save and compared after a restore.
"""

from typing import Any

import jax
import jax.numpy as jnp

_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


@jax.jit
def _digest(leaf: jax.Array) -> jax.Array:
    """Sum over positions of odd weight times the bits, modulo 2^32.

    A flipped bit changes its term by an odd multiple of a power of two, so every single flip
    changes the sum; and integers may be summed in any order, so no sharding does.
    """
    kind = _UNSIGNED[leaf.dtype.itemsize]
    bits = leaf if leaf.dtype == kind else jax.lax.bitcast_convert_type(leaf, kind)
    position = jnp.zeros(leaf.shape, jnp.uint32)
    for axis, size in enumerate(leaf.shape):
        index = jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        position = position * jnp.uint32(size) + index
    weight = position * jnp.uint32(2654435762) + jnp.uint32(1)
    return (bits.astype(jnp.uint32) * weight).sum(dtype=jnp.uint32)


def digests(tree: Any) -> dict[str, int]:
    """Digest of every leaf, by its path in the tree, such as "params/width_00008/encoder"."""
    paths, leaves = zip(*jax.tree.leaves_with_path(tree), strict=True)
    values = jax.device_get([_digest(leaf) for leaf in leaves])
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path in paths]
    return {name: int(value) for name, value in zip(names, values, strict=True)}
