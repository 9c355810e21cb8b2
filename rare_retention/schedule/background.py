"""Placements of tasks in a stream of rows: independent draws, or quotas followed evenly."""

import itertools
from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rare_retention.schedule.fixed_point import Quotas, fixed


class Purpose(IntEnum):
    """What random words are for: each use of a (seed, step) has words of its own."""

    DRAWS = 0
    ORDER = 1
    PHASES = 2
    PLACES = 3
    INSTANCES = 4


def random_words(seed: int, step: int, purpose: Purpose, size: int) -> NDArray[np.uint64]:
    """Random 64-bit words, [size], a function of the arguments alone.

    Raw words, because NumPy promises their stream for good; that of `Generator` may change.
    """
    key = np.array([seed, step], dtype=np.uint64)
    counter = np.array([0, 0, 0, purpose], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(size)


class Iid:
    """Rows drawn independently, task k with probability shares[k].

    Args:
        shares: [K], sum 1.
        seed: seed of the draws.
    """

    def __init__(self, shares: Sequence[Fraction], seed: int) -> None:
        ends = itertools.accumulate(map(fixed, shares))
        self._ends = np.array(list(ends)[:-1], dtype=np.uint64)
        self._seed = seed

    def counts(self, step: int, start: int, stop: int) -> list[int]:
        """Rows of each task among rows start..stop-1 of the stream, those of batch `step`."""
        words = random_words(self._seed, step, Purpose.DRAWS, stop - start)
        tasks = np.searchsorted(self._ends, words, side="right")
        counts: list[int] = np.bincount(tasks, minlength=len(self._ends) + 1).tolist()
        return counts

    def needs(self, rows: int) -> int:
        """How many rows it takes to share out `rows` of them or more: any number can be drawn."""
        return max(rows, 0)


class Even:
    """Rows that follow quotas; the most frequent task has what the others leave.

    Args:
        shares: [K], sum 1.
        phases: [K], phases of the quotas in units of 2^-64.
    """

    def __init__(self, shares: Sequence[Fraction], phases: Sequence[int]) -> None:
        self._top = shares.index(max(shares))
        others = [Fraction(0) if k == self._top else share for k, share in enumerate(shares)]
        self._quotas = Quotas(others, phases)

    def shown(self, rows: int) -> list[int]:
        """Rows of each task among the first `rows` rows of the stream."""
        shown = self._quotas.at(rows)
        shown[self._top] = rows - sum(shown)
        return shown

    def counts(self, step: int, start: int, stop: int) -> list[int]:
        """Rows of each task among rows start..stop-1 of the stream, those of batch `step`."""
        before, after = self.shown(start), self.shown(stop)
        return [b - a for a, b in zip(before, after, strict=True)]

    def needs(self, rows: int) -> int:
        """How many rows it takes, at least, to share out `rows` of them or more.

        More than `rows` where the other tasks may take more than there are. They never take less of
        a larger batch, so all sizes from `rows` up to the answer fail alike.
        """
        return max(rows, 0, self._quotas.most(rows))
