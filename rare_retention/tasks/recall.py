"""The recall task: a table of facts without a rule, the plainest case of rare knowledge.

Comparison and modular addition can be generalised: what a model keeps of them may be a rule. Here
every pair has a label of its own that nothing else tells, so the training half can only be
remembered and the test half stays at chance. It separates "keeps what it has seen" from "finds the
rule". Not in the paper.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rare_retention.config import config
from rare_retention.schedule.shuffle import permute
from rare_retention.tasks.injected import TASKS
from rare_retention.tasks.pairs import Pairs


@TASKS.add
@config
class Recall(Pairs):
    """LABEL is a token of S drawn for each pair; every token is the label of |S| pairs.

    Attributes:
        kind: tag of this task in a config tree.
    """

    kind: Literal["recall"] = "recall"

    @property
    def name(self) -> str:
        """As tables and figures call it."""
        return "recall"

    def label(
        self, first: NDArray[np.int64], second: NDArray[np.int64], seed: int
    ) -> NDArray[np.int64]:
        """Answer to each pair of values, drawn once: a value below |S|, int64 [n].

        The |S|^2 pairs are put in a random order; the answer is the pair's place in it modulo |S|.

        Args:
            first: val(TOK1), [n].
            second: val(TOK2), [n].
            seed: of the order.
        """
        pairs = self.symbols**2
        return permute(first * self.symbols + second, pairs, seed, 2) % self.symbols
