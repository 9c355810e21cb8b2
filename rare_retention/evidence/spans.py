"""Which cycles between exposures were measured, and which of them densely.

The cycle of an exposure goes from the state just before it to the state just before the next one.
"""

from typing import NamedTuple

import numpy as np

from rare_retention.evidence import exposures
from rare_retention.theory.checks import Array, IntArray

_DENSE = 0.8  # of the states that the most densely measured cycle has in as many steps


class Cycle(NamedTuple):
    """The measured part of one cycle of one stream.

    Attributes:
        exposure: number of its exposure, 0 for the first of the run.
        steps: of the measured states, from the one just before the exposure to the one just before
            the next.
    """

    exposure: int
    steps: IntArray

    @property
    def start(self) -> int:
        """Step of the exposure: that of the state just before it."""
        return int(self.steps[0])

    @property
    def offsets(self) -> IntArray:
        """Steps of the states since just before the exposure: 0, 1 just after it, and so on."""
        return self.steps - self.steps[0]

    @property
    def length(self) -> int:
        """Steps from the exposure to the next."""
        return int(self.steps[-1] - self.steps[0])


def measured_cycles(steps: IntArray, shown: Array) -> list[Cycle]:
    """Cycles of one stream whose first, exposed and last state were measured, oldest first.

    Args:
        steps: of the measured states, ascending.
        shown: steps of its exposures, ascending, NaN after the last. An exposure right before
            another has no cycle.
    """
    near = exposures.near(steps, shown)
    before = near.number[near.until == 0]  # the numbers of exposures with a state just before
    after = near.number[near.since == 1] - 1
    whole = before[np.isin(before, after) & np.isin(before + 1, before)].tolist()
    found = [Cycle(n, steps[(steps >= shown[n]) & (steps <= shown[n + 1])]) for n in whole]
    return [cycle for cycle in found if cycle.length > 1]


def dense_cycles(steps: IntArray, shown: Array) -> list[Cycle]:
    """The densely measured ones of `measured_cycles`.

    Of a cycle of which regular measurements show the ends and little else, the peak is not known.
    A cycle counts where it has at least `_DENSE` of the states that the most densely measured one
    has, over the steps since the exposure that both last. That one is of median length at least.
    """
    found = measured_cycles(steps, shown)
    if not found:
        return []
    median = int(np.median([cycle.length for cycle in found]))
    long = [cycle for cycle in found if cycle.length >= median]
    dense = max(long, key=lambda cycle: _states_within(cycle, median))
    kept = []
    for cycle in found:
        both = min(cycle.length, dense.length)
        if _states_within(cycle, both) >= _DENSE * _states_within(dense, both):
            kept.append(cycle)
    return kept


def _states_within(cycle: Cycle, length: int) -> int:
    """Measured states of a cycle in its first steps."""
    return int(np.searchsorted(cycle.offsets, length, side="right"))
