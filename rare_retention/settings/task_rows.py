"""What the mixtures of the synthetic settings share: a row of the batch is one task's."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from rare_retention.config import to_dict
from rare_retention.schedule.schedule import Schedule
from rare_retention.settings.mixture import watched


class TaskRows(ABC):
    """Base of a setting whose batches hold one task id a row.

    Attributes:
        size_field: name of the field that lists the sizes of the models.
        watch: ids of the tasks that are followed.
    """

    size_field: ClassVar[str]
    watch: tuple[int, ...]

    @property
    @abstractmethod
    def task_names(self) -> tuple[str, ...]:
        """Names of the K tasks, most frequent first."""

    @property
    def size_names(self) -> tuple[int, ...]:
        """What the field `size_field` lists, such as widths, in the order of the config."""
        names: tuple[int, ...] = getattr(self, self.size_field)
        return names

    @property
    def row_tokens(self) -> int:
        """A row is one observation."""
        return 1

    @property
    def slots(self) -> int:
        """A row is of one task."""
        return 1

    @property
    def draws_tasks(self) -> bool:
        """By default not: the tasks are what the fields say."""
        return False

    @property
    def watch_ids(self) -> tuple[int, ...]:
        """Watched tasks as ids in [0, K)."""
        return watched(self.watch, len(self.task_names))

    def recipe(self) -> dict[str, Any]:
        """All fields."""
        return to_dict(self)

    def batches(self, schedule: Schedule, draw: int, steps: range, rows: slice) -> np.ndarray:
        """Task of each row, int32; inputs, if there are any, are drawn where they are used."""
        del draw
        return np.stack([schedule.rows(step)[rows] for step in steps])
