"""Tiles of rows against plain NumPy loops and plain gathers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rare_retention.models.grouping import Tiles, spread, tile

# Few shapes, each compiled once; the ids within them are free.
SHAPES = st.sampled_from([(1, 1, 4), (6, 3, 1), (17, 3, 4), (17, 5, 32), (24, 4, 8)])


@functools.cache
def compiled(tasks, size):
    return jax.jit(lambda ids: tile(ids, tasks, size))


@st.composite
def batches(draw):
    """(task of each row, K, tile size); tasks without rows included."""
    rows, tasks, size = draw(SHAPES)
    ids = draw(st.lists(st.integers(0, tasks - 1), min_size=rows, max_size=rows))
    return np.array(ids, np.int32), tasks, size


@settings(deadline=None, max_examples=150)
@given(batches())
@example((np.zeros(17, np.int32), 3, 4))
@example((np.full(24, 3, np.int32), 4, 8))
def test_every_row_stands_in_one_slot_of_a_tile_of_its_task(batch):
    """Slots that hold rows are a permutation of the rows; all others are padding."""
    ids, tasks, size = batch
    tiles = jax.tree.map(np.asarray, compiled(tasks, size)(ids))
    count = -(-len(ids) // size) + tasks
    assert tiles.task.shape == (count,)
    assert tiles.source.shape == tiles.filled.shape == (count, size)
    assert np.all((tiles.task >= 0) & (tiles.task < tasks))

    held = []
    for t in range(count):
        for s in range(size):
            if tiles.filled[t, s]:
                row = tiles.source[t, s]
                assert ids[row] == tiles.task[t]
                assert tiles.slot[row] == t * size + s
                held.append(row)
            else:
                assert tiles.source[t, s] == 0
    assert sorted(held) == list(range(len(ids)))
    assert set(np.unique(tiles.filled)) <= {0.0, 1.0}


@pytest.mark.parametrize("order", ["ascending", "shuffled"])
def test_rows_of_a_task_keep_their_order(order):
    """Equal batches give equal layouts, and so equal sums."""
    ids = np.repeat(np.arange(3, dtype=np.int32), [5, 0, 9])
    if order == "shuffled":
        ids = np.random.default_rng(0).permutation(ids)
    tiles = compiled(3, 4)(ids)
    for task in range(3):
        slots = np.asarray(tiles.slot)[ids == task]
        assert np.all(np.diff(slots) > 0)


@settings(deadline=None, max_examples=60)
@given(batches(), st.integers(0, 2**32 - 1))
def test_spreading_and_its_derivative_are_those_of_a_gather(batch, seed):
    """For any cotangent that is zero on padding."""
    ids, tasks, size = batch
    tiles = compiled(tasks, size)(ids)
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((len(ids), 3)).astype(np.float32)
    weight = rng.standard_normal((*tiles.source.shape, 3)).astype(np.float32)
    weight = weight * np.asarray(tiles.filled)[..., None]
    np.testing.assert_array_equal(spread(rows, tiles), rows[np.asarray(tiles.source)])

    grad = _gradient(jnp.asarray(rows), tiles, jnp.asarray(weight))
    expected = np.zeros_like(rows)
    for t, s in np.argwhere(np.asarray(tiles.filled)):
        row = int(tiles.source[t, s])
        expected[row] += weight[t, s] * np.cos(rows[row])
    np.testing.assert_allclose(grad, expected, rtol=1e-5, atol=1e-6)


@jax.jit
def _gradient(rows: jax.Array, tiles: Tiles, weight: jax.Array) -> jax.Array:
    return jax.grad(lambda r: (weight * jnp.sin(spread(r, tiles))).sum())(rows)
