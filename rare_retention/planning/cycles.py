"""The TPU compiler's own estimate of time: a lower bound, as not all it runs has one."""

import re
from typing import NamedTuple

from rare_retention.planning import hlo


class Estimate(NamedTuple):
    """Cycles that a program takes at least.

    Attributes:
        step: of one training step.
        operations: how many operations of a step have an estimate. Kernels written by hand, and
            what is fused with a collective, have none and count as nothing.
    """

    step: int
    operations: int


def estimate(program: hlo.Module) -> Estimate:
    """Sums the estimates of a step's operations, loops by their turns.

    Args:
        program: as it stands after code was generated.
    """
    found = [
        (int(told[1]), own.trips)
        for own in hlo.operations(program, hlo.step_loop(program))
        if (told := re.search(r'"estimated_cycles":"(\d+)"', own.line))
    ]
    total = sum(cycles * trips for cycles, trips in found)
    return Estimate(total, sum(trips for _, trips in found))
