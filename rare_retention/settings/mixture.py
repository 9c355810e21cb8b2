"""The contract of a mixture: which tasks there are, how often, and what a batch of them holds."""

from typing import Any, Protocol

import numpy as np

from rare_retention.errors import ConfigError
from rare_retention.schedule.placement import Wording
from rare_retention.schedule.schedule import Schedule
from rare_retention.settings.quantity import Quantity

Batch = Any
"""One array, or a tree of them, whose first axis are rows."""


class Mixture(Protocol):
    """What a stream of training data has to say: its tasks, how often, and its batches.

    A stream is the sequence of batches of one run. All arrays are NumPy's, and implementations
    import no JAX; equal arguments give equal bytes.
    """

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the K tasks; of a mixture's, most frequent first."""
        ...

    @property
    def frequencies(self) -> np.ndarray:
        """Share of each task among the slots of the stream, pi [K], float64.

        0 for tasks at the end that are never shown, and measured all the same.
        """
        ...

    @property
    def wording(self) -> Wording:
        """Fields of the config that a message about the schedule names."""
        ...

    @property
    def watch_ids(self) -> tuple[int, ...]:
        """Tasks whose interference is followed, as ids in [0, K)."""
        ...

    @property
    def inputs(self) -> int:
        """Dimension of the input, D; what a random student of width N captures is N / D.

        0 where inputs are no vectors of numbers.
        """
        ...

    @property
    def row_tokens(self) -> int:
        """Tokens, or observations, in a row of the batch."""
        ...

    @property
    def slots(self) -> int:
        """Places of a row among which the schedule shares out the tasks; 1 where a row is one."""
        ...

    @property
    def draws_inputs(self) -> bool:
        """Whether rows are task ids alone, whose inputs the objective draws from the step's key."""
        ...

    @property
    def draws_tasks(self) -> bool:
        """Whether another draw of the tasks has other tasks."""
        ...

    def constants(self) -> dict[str, tuple[Quantity, np.ndarray]]:
        """What does not change in training: name -> what it is and float64 values.

        "frequency" is among them; theory needs the others.
        """
        ...

    def batches(self, schedule: Schedule, draw: int, steps: range, rows: slice) -> Batch:
        """Rows of the global batches of some steps, a function of the arguments alone.

        Args:
            schedule: which tasks stand in them.
            draw: number of the draw of the tasks.
            steps: consecutive ones; batch t is the one after t updates.
            rows: those wanted, of all rows of each global batch.

        Returns:
            NumPy arrays [len(steps), rows, ...].
        """
        ...


def rarest_watched(mixture: Mixture) -> int:
    """Id of the rarest watched task that is shown at all; of equally rare ones the last."""
    shares = mixture.frequencies
    shown = [k for k in mixture.watch_ids if shares[k] > 0]
    return min(shown or mixture.watch_ids, key=lambda k: (shares[k], -k))


def watched(watch: tuple[int, ...], tasks: int) -> tuple[int, ...]:
    """Ids in [0, K) of tasks given by ids of either sign, -1 being the last and rarest.

    Raises:
        ConfigError: an id is out of range or repeated, or there is none.
    """
    if not watch:
        raise ConfigError("watch", "expected at least one task, got none")
    for i, k in enumerate(watch):
        if not -tasks <= k < tasks:
            allowed = f"{-tasks} to {tasks - 1}"
            raise ConfigError(f"watch[{i}]", f"expected a task from {allowed}, got {k}")
    ids = tuple(k % tasks for k in watch)
    if len(set(ids)) < len(ids):
        raise ConfigError("watch", f"expected different tasks, got {watch}")
    return ids
