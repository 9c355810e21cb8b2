"""Rows of a batch in tiles of one task each, so that per-task weights meet their rows in matmuls.

Gathering a decoder for every row moves B d_T N numbers; multiplying every row by every decoder
computes K times too much. Tiles of a few rows that share a task cost neither: the rows of each task
are padded to whole tiles, and a tile is one small matmul with one decoder.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Tiles(NamedTuple):
    """A batch of B rows laid out in T tiles of t rows; a tile holds rows of one task.

    Attributes:
        task: task of each tile, int [T].
        source: row that stands in each slot, int [T, t] (0 where the slot is padding).
        filled: 1 where a slot holds a row, float32 [T, t].
        slot: flat slot of each row, int [B].
    """

    task: jax.Array
    source: jax.Array
    filled: jax.Array
    slot: jax.Array


def tile(task: jax.Array, tasks: int, size: int) -> Tiles:
    """Lays rows out in tiles of one task each.

    Args:
        task: task of each row, int [B].
        tasks: K; every id is below it.
        size: rows a tile, t.

    Returns:
        Tiles with T = ceil(B / t) + K, enough for any counts of rows by task.
    """
    (rows,) = task.shape
    tiles = -(-rows // size) + tasks
    member = jax.nn.one_hot(task, tasks, dtype=jnp.int32)
    before = jnp.cumsum(member, axis=0) - member
    rank = jnp.take_along_axis(before, task[:, None], axis=1)[:, 0]
    needed = -(-member.sum(0) // size)
    end = jnp.cumsum(needed)
    slot = (end - needed)[task] * size + rank
    source = jnp.zeros(tiles * size, jnp.int32).at[slot].set(jnp.arange(rows), unique_indices=True)
    filled = jnp.zeros(tiles * size, jnp.float32).at[slot].set(1.0, unique_indices=True)
    owner = (jnp.arange(tiles)[:, None] >= end[None, :]).sum(-1)
    return Tiles(
        jnp.minimum(owner, tasks - 1),
        source.reshape(tiles, size),
        filled.reshape(tiles, size),
        slot,
    )


@jax.custom_vjp
def spread(rows: jax.Array, tiles: Tiles) -> jax.Array:
    """Copies rows [B, M] into their tiles [T, t, M]; padding repeats row 0.

    The derivative is a gather as well, because every row stands in exactly one slot: the cotangent
    of padding must be zero, which holds when its error is multiplied by `tiles.filled`. A scatter,
    the derivative of a general gather, runs on one thread on CPU.
    """
    return rows[tiles.source]


def _spread_forward(rows: jax.Array, tiles: Tiles) -> tuple[jax.Array, Tiles]:
    return rows[tiles.source], tiles


def _spread_backward(tiles: Tiles, cotangent: jax.Array) -> tuple[jax.Array, None]:
    return cotangent.reshape(-1, cotangent.shape[-1])[tiles.slot], None


spread.defvjp(_spread_forward, _spread_backward)
