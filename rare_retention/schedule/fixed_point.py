"""Exact proportions of a stream of rows, as Python integers in units of 2^-64.

A float accumulated over a long run drifts, and a float product loses the last row at step 10^9. An
integer share of 2^64 does neither: at 10^12 rows the count of a task is off by 10^-7 of a row.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

BITS = 64


def as_typed(number: float) -> Fraction:
    """The decimal number that `number` is written as: 0.1 is one tenth, not 0.1000000000000000055.

    The excess of the binary number would turn a burst of exactly 512 rows into one of up to 513.
    """
    return Fraction(repr(float(number)))


def fixed(share: Fraction) -> int:
    """The whole multiples of 2^-64 in `share`.

    Rounded down, so that a number of rows that comes out whole never has a ceiling one above it.
    """
    return (share.numerator << BITS) // share.denominator


class Quotas:
    """Counts that follow their shares of a stream to within one row: floor(n p + phi).

    Args:
        shares: share p of the stream for each task, in [0, 1].
        phases: phase phi of each task in units of 2^-64, in [0, 2^64). They decide where in the
            stream a task's rows fall; independent phases keep equally rare tasks out of step.
    """

    def __init__(self, shares: Iterable[Fraction], phases: Sequence[int]) -> None:
        self._terms = tuple(zip(map(fixed, shares), phases, strict=True))

    def at(self, rows: int) -> list[int]:
        """Count of each task in the first `rows` rows of the stream."""
        return [(rows * share + phase) >> BITS for share, phase in self._terms]

    def least(self, rows: int) -> int:
        """The fewest rows that all tasks together can have in any `rows` consecutive rows."""
        return sum(rows * share >> BITS for share, _ in self._terms)

    def most(self, rows: int) -> int:
        """The most rows that all tasks together can have in any `rows` consecutive rows."""
        return sum(-(-rows * share >> BITS) for share, _ in self._terms)
