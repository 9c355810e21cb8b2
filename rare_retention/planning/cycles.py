"""The TPU compiler's own estimate of time, and what it leaves out: kernels written by hand."""

import math
import re
from typing import NamedTuple

from rare_retention.planning import hlo

PRODUCTS = {"splash_mha_fwd": 2, "splash_mha_dkv": 4, "splash_mha_dq": 3}
"""Kernels of splash attention -> matrix products of a position with all before it.

Forwards there are scores and their weighted values; backwards each of the two kernels computes the
scores and the gradient of the weights again.
"""


class Estimate(NamedTuple):
    """What a program takes on one device.

    Attributes:
        step: cycles of one training step at least.
        operations: how many operations of a step have an estimate. Kernels written by hand, and
            what is fused with a collective, have none and count as nothing.
        kernels: multiplications and additions of a step in kernels of attention, as they run: half
            of the pairs of positions, and with what is computed again.
    """

    step: int
    operations: int
    kernels: int


def estimate(program: hlo.Module) -> Estimate:
    """Sums the estimates of a step's operations, loops by their turns.

    Args:
        program: as it stands after code was generated.
    """
    every = list(hlo.operations(program, hlo.step_loop(program)))
    found = [
        (int(told[1]), own.trips)
        for own in every
        if (told := re.search(r'"estimated_cycles":"(\d+)"', own.line))
    ]
    total = sum(cycles * trips for cycles, trips in found)
    kernels = sum(_kernel(own.line) * own.trips for own in every if own.name == "custom-call")
    return Estimate(total, sum(trips for _, trips in found), kernels)


def _kernel(line: str) -> int:
    """Operations of one call of a kernel of attention; 0 of anything else."""
    named = re.match(r"\s+(?:ROOT )?%?(splash_mha_(?:fwd|dkv|dq))", line)
    given = re.search(r"operand_layout_constraints=\{(.*?\})\}", line)
    made = re.search(r" = \((.*?)\) custom-call\(", line)
    if named is None or given is None or made is None:
        return 0
    # The queries are the first floats, with positions as their last axis or the one before; what is
    # made last has them before the last.
    queries, last = (_floats(given[1])[0], _floats(made[1])[-1])
    return PRODUCTS[named[1]] * math.prod(queries) * last[-2]  # 2 operations, half of them


def _floats(text: str) -> list[tuple[int, ...]]:
    """Shapes of the arrays of floats in a text."""
    found = re.findall(r"\b(?:bf16|f32)\[([\d,]+)\]", text)
    return [tuple(map(int, shape.split(","))) for shape in found]
