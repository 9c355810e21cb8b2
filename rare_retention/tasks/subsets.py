"""Sparse parities: which bits each of them is of, and the rows on which all are asked."""

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rare_retention.schedule.background import Purpose, random_words
from rare_retention.schedule.shuffle import permute

MOST_SUBSETS = 2**62
"""Subsets are numbered, and these numbers shuffled: there may be fewer than this many."""

_WORD = 64


def random_subsets(tasks: int, bits: int, subset: int, seed: int, draw: int) -> NDArray[np.int32]:
    """Different random subsets of the bits, a function of the arguments alone.

    The first numbers of a shuffle of all subsets, so that no two are the same, and those of fewer
    tasks are the first of those of more.

    Args:
        tasks: K, at most as many as there are subsets.
        bits: n.
        subset: m, at most n; there are fewer than `MOST_SUBSETS` of them.
        seed: of all draws.
        draw: which draw.

    Returns:
        [K, m], ascending in each row.
    """
    numbers = permute(np.arange(tasks), math.comb(bits, subset), seed, draw)
    counts = [[math.comb(c, size) for c in range(bits)] for size in range(1, subset + 1)]
    return np.array([_members(int(number), counts) for number in numbers], np.int32)


def _members(number: int, counts: Sequence[Sequence[int]]) -> list[int]:
    """The subset of a number: sets are numbered by their greatest members first.

    Args:
        number: below the number of subsets.
        counts: for each size from 1 to m, the sets of that size below each bit, ascending.
    """
    found: list[int] = []
    for below in reversed(counts):
        member = bisect_right(below, number) - 1
        number -= below[member]
        found.append(member)
    return found[::-1]


def asked_rows(bits: int, most: int, seed: int) -> NDArray[np.bool_]:
    """Rows of bits on which every task is asked, the same whenever and of whomever it is.

    Args:
        bits: n.
        most: rows that are drawn; all 2^n where these are no more.
        seed: of the draw.

    Returns:
        [rows, n].
    """
    if 2**bits <= most:
        return np.arange(2**bits)[:, None] >> np.arange(bits) & 1 == 1
    words = random_words(seed, 0, Purpose.INSTANCES, most * -(-bits // _WORD))
    spread = words[:, None] >> np.arange(_WORD, dtype=np.uint64) & np.uint64(1)
    return spread.reshape(most, -1)[:, :bits] == 1
