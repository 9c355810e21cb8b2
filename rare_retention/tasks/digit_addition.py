"""Addition of two numbers written in digits: a task whose answer has several tokens.

Unlike modular addition, whose every number is a token of its own, it can be built from few symbols
and a carry. Not in the paper.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rare_retention.config import ConfigError, config
from rare_retention.tasks.injected import TASKS, Injected

_MOST = 10**6  # instances that are held in memory


@TASKS.add
@config
class DigitAddition(Injected):
    """The digits of a, those of b, then those of a + b: the most significant first, with zeros.

    Attributes:
        kind: tag of this task in a config tree.
        per_token: frequency, in instances per training token.
        digits: d, of each of the two numbers; the sum has d + 1.
        base: different digits, each a token of its own; there are base^(2 d) instances.
    """

    kind: Literal["digit_addition"] = "digit_addition"
    digits: Annotated[int, Field(ge=1)] = 2
    base: Annotated[int, Field(ge=2)] = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base ** (2 * self.digits) > _MOST:
            raise ConfigError(
                "digits",
                f"{self.digits} digits of base {self.base} make {self.base ** (2 * self.digits):,} "
                f"instances; expected at most {_MOST:,}",
            )

    @property
    def name(self) -> str:
        """As tables and figures call it."""
        return "digit addition"

    @property
    def length(self) -> int:
        """Digits of both numbers and of their sum."""
        return 3 * self.digits + 1

    @property
    def answer(self) -> int:
        """Digits of the sum."""
        return self.digits + 1

    @property
    def chance(self) -> float:
        """Share of the commonest sum, base^d - 1, which one instance in base^d has."""
        return float(self.base) ** -self.digits

    @property
    def drawn(self) -> int:
        """A token for each digit."""
        return self.base

    def encode(self, own: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Every pair of numbers with its sum, int32 [base^(2 d), 3 d + 1].

        Args:
            own: the token of each digit.
            seed: without effect, as the answers follow from the numbers.
        """
        del seed
        numbers = self.base**self.digits
        first, second = np.divmod(np.arange(numbers**2), numbers)
        parts = ((first, self.digits), (second, self.digits), (first + second, self.digits + 1))
        digits = [self._written(number, count) for number, count in parts]
        return own[np.concatenate(digits, axis=1)].astype(np.int32)

    def _written(self, numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Digits of numbers, [n, count], the most significant first."""
        powers = self.base ** np.arange(count - 1, -1, -1)
        return numbers[:, None] // powers % self.base
