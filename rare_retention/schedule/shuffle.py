"""A shuffled order with random access: a permutation that is computed, not stored.

A table of all windows of a corpus would take gigabytes on every host, and time at every start. A
keyed permutation needs neither: a Feistel network on a near-square that has room for all numbers;
those few that it sends beyond the last one are sent on until they fall inside (cycle walking).
Integers alone, so every host computes the same order.
"""

import math

import numpy as np
from numpy.typing import NDArray

ORDER_VERSION = 1  # Raise it with any change that gives an old recipe another order.

_ROUNDS = 6
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, and its bits look random: 2^64 / golden ratio
_COUNTER = np.uint64(0x77696E646F7773)  # "windows": no other use of (seed, step) has these words


def permute(
    indices: NDArray[np.int64], size: int, seed: int, epoch: int | NDArray[np.int64]
) -> NDArray[np.int64]:
    """A pseudo-random permutation of range(size), evaluated at `indices`.

    Args:
        indices: numbers in range(size), any shape.
        size: how many numbers are permuted, at least 1.
        seed: seed of all orders, 0 to 2^64 - 1.
        epoch: which order, one for all or one for each index; another epoch is another order.

    Returns:
        The number that stands at each index, int64, shaped as `indices`.
    """
    indices = np.asarray(indices, np.int64)
    epoch = np.broadcast_to(epoch, indices.shape)
    found = np.empty_like(indices)
    left = np.ones(indices.shape, bool)
    while left.any():  # a batch lies in one epoch, or astride two
        one = epoch[left][0]
        here = epoch == one
        found[here] = _order(indices[here].astype(np.uint64), size, seed, int(one))
        left &= ~here
    return found


def _order(indices: NDArray[np.uint64], size: int, seed: int, epoch: int) -> NDArray[np.uint64]:
    """The permutation of one epoch, evaluated at `indices` [n]."""
    key = np.array([seed, epoch], np.uint64)
    counter = np.array([0, 0, 0, _COUNTER], np.uint64)
    keys = np.random.Philox(key=key, counter=counter).random_raw(_ROUNDS)
    height = math.isqrt(size - 1) + 1
    sides = (np.uint64(height), np.uint64(-(-size // height)))
    found = _feistel(indices, keys, sides)
    beyond = np.flatnonzero(found >= size)
    while beyond.size:
        found[beyond] = _feistel(found[beyond], keys, sides)
        beyond = beyond[found[beyond] >= size]
    return found


def _feistel(
    numbers: NDArray[np.uint64], keys: NDArray[np.uint64], sides: tuple[np.uint64, np.uint64]
) -> NDArray[np.uint64]:
    """A permutation of range(height * width): in turn a coordinate moves by a hash of the other.

    Args:
        numbers: below height * width, [n]; number q * height + r has the coordinates (r, q).
        keys: a key for each round.
        sides: height and width.
    """
    place = [numbers % sides[0], numbers // sides[0]]
    for i, key in enumerate(keys):
        hashed = place[1 - i % 2] ^ key
        hashed *= _MULTIPLIER
        hashed ^= hashed >> np.uint64(32)
        hashed *= _MULTIPLIER
        hashed >>= np.uint64(32)
        hashed *= sides[i % 2]
        hashed >>= np.uint64(32)  # now below the side
        hashed += place[i % 2]
        # Modulo the side, fast: where nothing is to be taken off, the difference wraps round.
        place[i % 2] = np.minimum(hashed, hashed - sides[i % 2])
    return place[1] * sides[0] + place[0]
