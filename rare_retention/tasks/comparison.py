"""The comparison task T_CMP: is the first value less than the second? (paper Sec. 4)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rare_retention.config import config
from rare_retention.tasks.injected import TASKS
from rare_retention.tasks.pairs import Pairs


@TASKS.add
@config
class Comparison(Pairs):
    """LABEL is one of two label tokens: the first if val(TOK1) < val(TOK2), else the second.

    Attributes:
        kind: tag of this task in a config tree.
        labels: ids of the two label tokens; None draws them.
    """

    kind: Literal["comparison"] = "comparison"
    labels: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """As tables and figures call it."""
        return "comparison"

    @property
    def own_labels(self) -> int:
        """Two: less, and not less."""
        return 2

    @property
    def given(self) -> tuple[int, ...]:
        """The label tokens, if the user chose them."""
        return self.labels or ()

    def label(
        self, first: NDArray[np.int64], second: NDArray[np.int64], seed: int
    ) -> NDArray[np.int64]:
        """0 where first < second, else 1."""
        return np.where(first < second, 0, 1)
