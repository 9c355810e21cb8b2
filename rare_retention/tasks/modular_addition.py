"""The modular addition task T_ADD, a task that models grok (paper Sec. 4)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rare_retention.config import config
from rare_retention.tasks.injected import TASKS
from rare_retention.tasks.pairs import Pairs


@TASKS.add
@config
class ModularAddition(Pairs):
    """LABEL is the token of S whose value is (val(TOK1) + val(TOK2)) mod |S|.

    Attributes:
        kind: tag of this task in a config tree.
    """

    kind: Literal["modular_addition"] = "modular_addition"

    @property
    def name(self) -> str:
        """As tables and figures call it."""
        return "modular addition"

    def label(
        self, first: NDArray[np.int64], second: NDArray[np.int64], seed: int
    ) -> NDArray[np.int64]:
        """The sum of the values, modulo the number of symbols."""
        return (first + second) % self.symbols
