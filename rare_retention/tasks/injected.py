"""Injected tasks: instances, a few tokens each, that replace the first tokens of a sequence.

Each task owns tokens drawn at random from the vocabulary, or behind it, where no text has them;
tasks of one mixture share none, so that no question has two answers. An instance is a question and
its answer, the last of its tokens; the end of the document follows it. Half of all instances are
trained on and half are kept for tests. A seed and the number of a draw decide all of it.

A new task is a file with a config that inherits `Injected`, or `Pairs` where two tokens ask for
one, under `@TASKS.add`; see `tasks.recall` and `tasks.digit_addition`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rare_retention.config import ConfigError, config
from rare_retention.registry import Registry
from rare_retention.schedule.shuffle import permute

TASKS = Registry("task")

SEEDS = 2**32
"""Seeds are below it."""


@config
class Injected(ABC):
    """What all injected tasks share.

    Attributes:
        per_token: frequency, in instances per training token; 0 is a sham, which is measured as all
            others are and never shown. It stands behind all tasks that are.
    """

    per_token: float = 2.4e-5

    def __post_init__(self) -> None:
        most = 1 / (self.length + 1)
        if not 0 <= self.per_token <= most:
            raise ConfigError(
                "per_token",
                f"expected instances per token, from 0 to {most:g}, got {self.per_token}",
            )

    @property
    @abstractmethod
    def name(self) -> str:
        """As tables and figures call it."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Tokens of an instance; the end of the document comes after them."""

    @property
    @abstractmethod
    def answer(self) -> int:
        """How many of them, the last ones, are the answer."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """Accuracy of always giving the same answer, the best one."""

    @property
    @abstractmethod
    def drawn(self) -> int:
        """Tokens of the vocabulary that are drawn for the task."""

    @property
    def given(self) -> tuple[int, ...]:
        """Ids of further tokens that the user chose, in the config's field `labels`."""
        return ()

    @abstractmethod
    def encode(self, own: NDArray[np.int64], seed: int) -> NDArray[np.int32]:
        """All instances, [n, length], in an order that does not matter.

        Args:
            own: the tokens that were drawn, [drawn].
            seed: for tasks that draw their answers.
        """


class Instances(NamedTuple):
    """All instances of a task.

    Attributes:
        tokens: of each instance, int32 [n, length].
        train: instances to train on, in random order, int64 [n / 2].
        test: all others, in random order.
    """

    tokens: NDArray[np.int32]
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def instances(
    tasks: Sequence[Injected],
    vocabulary: int,
    end_of_document: int,
    seed: int,
    draw: int = 0,
    *,
    reserved: bool = False,
) -> tuple[Instances, ...]:
    """Instances of every task of a mixture.

    Tokens are taken from a shuffled vocabulary, or from the ids behind it, task after task: one
    more task at the end leaves those before it as they are.

    Args:
        tasks: of the mixture.
        vocabulary: ids are below it.
        end_of_document: id that no task may use.
        seed: of all choices, below `SEEDS`.
        draw: another one chooses anew; below 2^16.
        reserved: take `reserved_ids` ids from `vocabulary` on, in an order that the seed decides;
            labels that the user chose stay what they are.

    Raises:
        ConfigError: the vocabulary is too small, or labels that the user chose cannot be had.
    """
    first = _first_seed(seed, draw)
    if reserved:
        pools = _behind(tasks, vocabulary, first)
    else:
        pools = _within(tasks, vocabulary, end_of_document, first)
    found = [_instances(task, own, first + k + 1) for k, (task, own) in enumerate(pools)]
    _check_given(tasks, vocabulary, end_of_document)
    return tuple(found)


def reserved_ids(tasks: Iterable[Injected]) -> int:
    """How many ids behind a vocabulary tasks take that use no token of a text."""
    return sum(task.drawn for task in tasks)


def _behind(
    tasks: Sequence[Injected], vocabulary: int, first: int
) -> Iterator[tuple[Injected, NDArray[np.int64]]]:
    """Each task and its tokens, behind those of the text."""
    for k, task in enumerate(tasks):
        yield task, vocabulary + permute(np.arange(task.drawn), task.drawn, first + k + 1, 2)
        vocabulary += task.drawn


def _within(
    tasks: Sequence[Injected], vocabulary: int, end_of_document: int, first: int
) -> Iterator[tuple[Injected, NDArray[np.int64]]]:
    """Each task and its tokens, of the text's; errors as `instances`."""
    shuffled = permute(np.arange(vocabulary), vocabulary, first, 0)
    given = [token for task in tasks for token in task.given]
    free = shuffled[~np.isin(shuffled, [end_of_document, *given])]
    needed = sum(task.drawn for task in tasks)
    if needed > len(free):
        raise ConfigError(
            "tasks",
            f"they need {needed:,} tokens of their own, but the vocabulary has {len(free):,}; "
            "expected fewer symbols",
        )
    taken = 0
    for task in tasks:
        yield task, free[taken : taken + task.drawn]
        taken += task.drawn


def _first_seed(seed: int, draw: int) -> int:
    """Seed of the vocabulary's order; task k has the (k + 1)-th after it.

    Draw 0 has the seed itself, so that neighbouring seeds have tasks in common. No two of the later
    draws do, of whatever seeds: each has 2^16 seeds for its tasks, beyond those of draw 0.
    """
    return draw * 2**48 + seed * 2**16 if draw else seed


def _instances(task: Injected, own: NDArray[np.int64], seed: int) -> Instances:
    """Instances of one task from the tokens that were drawn for it, in two random halves."""
    tokens = task.encode(own, seed)
    count = len(tokens)
    order = permute(np.arange(count), count, seed, 1)
    return Instances(tokens, order[: count // 2], order[count // 2 :])


def _check_given(tasks: Sequence[Injected], vocabulary: int, end_of_document: int) -> None:
    """Checks the label tokens that the user chose.

    Raises:
        ConfigError: they are out of range, repeated, or used for something else.
    """
    taken = {end_of_document}
    for k, task in enumerate(tasks):
        given = task.given
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


def names(tasks: Sequence[Injected]) -> tuple[str, ...]:
    """What the tasks of a mixture are called: the second of a name has a 2 behind it.

    Tasks of one name have tokens of their own, as all tasks of a mixture: one that is left out is
    the sham of another.
    """
    found: list[str] = []
    for task in tasks:
        same = 1 + sum(other.name == task.name for other in tasks[: len(found)])
        found.append(task.name if same == 1 else f"{task.name} {same}")
    return tuple(found)
