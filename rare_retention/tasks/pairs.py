"""Tasks whose instances are TOK1 TOK2 LABEL (paper Sec. 4).

Each owns S, a set of tokens with a random bijection val: S -> 0, 1, ...; one instance stands for
each ordered pair of S.
"""

from abc import abstractmethod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rare_retention.config import config
from rare_retention.tasks.injected import Injected


@config
class Pairs(Injected):
    """What these tasks share.

    Attributes:
        per_token: frequency, in instances per training token.
        symbols: |S|; there are |S|^2 instances.
    """

    symbols: Annotated[int, Field(ge=2)] = 100

    @property
    def length(self) -> int:
        """Three: two symbols and a label."""
        return 3

    @property
    def answer(self) -> int:
        """One: the label."""
        return 1

    @property
    def own_labels(self) -> int:
        """Label tokens beside S; 0 where labels are symbols."""
        return 0

    @property
    def chance(self) -> float:
        """One in as many as there are labels."""
        return 1 / (self.own_labels or self.symbols)

    @property
    def drawn(self) -> int:
        """S, and labels of its own where the user has not chosen them."""
        return self.symbols + (0 if self.given else self.own_labels)

    @abstractmethod
    def label(
        self, first: NDArray[np.int64], second: NDArray[np.int64], seed: int
    ) -> NDArray[np.int64]:
        """Label of pairs of values: a value of S, or a number below `own_labels` if there are any.

        Args:
            first: val(TOK1), [n].
            second: val(TOK2), [n].
            seed: for tasks whose labels are drawn.
        """

    def encode(self, own: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """Every ordered pair of S with its label, int32 [|S|^2, 3], by the values of the two.

        Args:
            own: first S, then labels of its own if any were drawn.
            seed: for tasks whose labels are drawn.
        """
        values = own[: self.symbols]
        labels = own[self.symbols :] if self.own_labels else values
        if self.given:
            labels = np.array(self.given)
        first, second = np.divmod(np.arange(self.symbols**2), self.symbols)
        chosen = labels[self.label(first, second, seed)]
        return np.stack([values[first], values[second], chosen], axis=1).astype(np.int32)
