"""Injected tasks: instances TOK1 TOK2 LABEL that replace the first tokens of a training sequence.

Each task owns S, a set of tokens drawn at random from the vocabulary, with a random bijection
val: S -> 0, 1, ... (paper Sec. 4). One instance stands for each ordered pair of S; half of them are
trained on and half are kept for tests. A seed and the number of a draw decide all of it. Tasks of
one mixture share no token, so that no pair has two labels.

A new task is a file with a config that inherits `Injected` and says which label a pair has, and an
entry in `tasks.AnyTask`; see `tasks.recall`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rare_retention.config import ConfigError, config
from rare_retention.data.shuffle import permute

LENGTH = 4
"""Tokens of an instance in a sequence: TOK1, TOK2, LABEL and the end of the document."""

SEEDS = 2**32
"""Seeds are below it."""


@config
class Injected(ABC):
    """What all injected tasks share.

    Attributes:
        per_token: frequency, in instances per training token.
        symbols: |S|; there are |S|^2 instances.
    """

    per_token: float = 2.4e-5
    symbols: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.per_token <= 1 / LENGTH:
            raise ConfigError(
                "per_token",
                f"expected instances per token, above 0 and at most {1 / LENGTH}, got "
                f"{self.per_token}",
            )
        if self.symbols < 2:
            raise ConfigError("symbols", f"expected at least 2, got {self.symbols}")

    @property
    @abstractmethod
    def name(self) -> str:
        """As tables and figures call it."""

    @property
    def own_labels(self) -> int:
        """Label tokens beside S; 0 where labels are symbols."""
        return 0

    @property
    def given_labels(self) -> tuple[int, ...] | None:
        """Ids of the label tokens where the user chose them; None has them drawn."""
        return None

    @property
    def labels_in_all(self) -> int:
        """Different labels that there are: a guess is right once in so many."""
        return self.own_labels or self.symbols

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


class Instances(NamedTuple):
    """All instances of a task.

    Attributes:
        tokens: TOK1, TOK2, LABEL of each, int32 [|S|^2, 3].
        train: instances to train on, in random order, int64 [|S|^2 / 2].
        test: all others, in random order.
    """

    tokens: NDArray[np.int32]
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def instances(
    tasks: Sequence[Injected], vocabulary: int, end_of_document: int, seed: int, draw: int = 0
) -> tuple[Instances, ...]:
    """Instances of every task of a mixture.

    Tokens are taken from a shuffled vocabulary, task after task: one more task at the end leaves
    those before it as they are.

    Args:
        tasks: of the mixture.
        vocabulary: ids are below it.
        end_of_document: id that no task may use.
        seed: of all choices, below `SEEDS`.
        draw: another one chooses anew; below 2^16.

    Raises:
        ConfigError: the vocabulary is too small, or labels that the user chose cannot be had.
    """
    first = _first_seed(seed, draw)
    shuffled = permute(np.arange(vocabulary), vocabulary, first, 0)
    given = [token for task in tasks for token in task.given_labels or ()]
    free = shuffled[~np.isin(shuffled, [end_of_document, *given])]
    needed = sum(task.symbols + _drawn(task) for task in tasks)
    if needed > len(free):
        raise ConfigError(
            "tasks",
            f"they need {needed:,} tokens of their own, but the vocabulary has {len(free):,}; "
            "expected fewer symbols",
        )
    found, taken = [], 0
    for k, task in enumerate(tasks):
        own = free[taken : taken + task.symbols + _drawn(task)]
        taken += len(own)
        found.append(_instances(task, own, first + k + 1))
    _check_given(tasks, vocabulary, end_of_document)
    return tuple(found)


def _drawn(task: Injected) -> int:
    return 0 if task.given_labels is not None else task.own_labels


def _first_seed(seed: int, draw: int) -> int:
    """Seed of the vocabulary's order; task k has the (k + 1)-th after it.

    Draw 0 has the seed itself, so that neighbouring seeds have tasks in common. No two of the later
    draws do, of whatever seeds: each has 2^16 seeds for its tasks, beyond those of draw 0.
    """
    return draw * 2**48 + seed * 2**16 if draw else seed


def _instances(task: Injected, own: NDArray[np.int64], seed: int) -> Instances:
    """Instances of one task from its tokens: first S, then labels of its own if any were drawn."""
    values = own[: task.symbols]
    labels = own[task.symbols :] if task.own_labels else values
    if task.given_labels is not None:
        labels = np.array(task.given_labels)
    count = task.symbols**2
    first, second = np.divmod(np.arange(count), task.symbols)
    chosen = labels[task.label(first, second, seed)]
    tokens = np.stack([values[first], values[second], chosen], axis=1).astype(np.int32)
    order = permute(np.arange(count), count, seed, 1)
    return Instances(tokens, order[: count // 2], order[count // 2 :])


def _check_given(tasks: Sequence[Injected], vocabulary: int, end_of_document: int) -> None:
    """Checks the label tokens that the user chose.

    Raises:
        ConfigError: they are out of range, repeated, or used for something else.
    """
    taken = {end_of_document}
    for k, task in enumerate(tasks):
        given = task.given_labels or ()
        for token in given:
            problem = ""
            if not 0 <= token < vocabulary:
                problem = f"is not below the vocabulary of {vocabulary:,}"
            elif token in taken:
                problem = "ends documents, or is a label of another task"
            if problem:
                raise ConfigError(f"tasks[{k}].labels", f"token {token} {problem}")
        if len(set(given)) < len(given):
            raise ConfigError(f"tasks[{k}].labels", f"expected different tokens, got {given}")
        taken |= set(given)
