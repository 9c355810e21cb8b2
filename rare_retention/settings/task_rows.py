"""What the synthetic settings share: a row of the batch is the task whose loss it adds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rare_retention.config import to_dict
from rare_retention.data.exposure import Schedule
from rare_retention.settings.protocol import (
    Numbers,
    Params,
    Precision,
    gradient_labels,
    watched,
)
from rare_retention.settings.stacks import Stacks


class TaskRows(ABC):
    """Base of a setting whose batches hold one task id a row, and whose tasks are not drawn.

    Attributes:
        size_field: name of the field that lists the sizes of the models.
        weights: names of a model's arrays of weights.
        watch: ids of the tasks that are followed.
    """

    size_field: ClassVar[str]
    weights: ClassVar[tuple[str, ...]]
    watch: tuple[int, ...]

    @property
    @abstractmethod
    def task_names(self) -> tuple[str, ...]:
        """Names of the K tasks, most frequent first."""

    @property
    def size_names(self) -> tuple[int, ...]:
        """The sizes, as they are declared."""
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
        """The tasks are what the fields say."""
        return False

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Names of compared gradients and of the weights on which they are compared."""
        return gradient_labels(self.weights, (self.task_names[k] for k in self.watch_ids))

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


@dataclass(frozen=True, kw_only=True)
class TracedRows(ABC):
    """Base of the traced part of such a setting; all arrays are float32.

    Attributes:
        tasks: K.
        watch_ids: watched tasks.
        rarest: of them.
        block_labels: arrays of weights, and "all".
        initialisations: students of each group.
    """

    tasks: int
    watch_ids: tuple[int, ...]
    rarest: int
    block_labels: tuple[str, ...]
    initialisations: int

    @property
    @abstractmethod
    def _stacks(self) -> Stacks:
        """The students."""

    @abstractmethod
    def losses(
        self, params: Params, batch: jax.Array, key: jax.Array, numbers: Numbers
    ) -> dict[str, jax.Array]:
        """Mean loss of the rows, split by task; see `Traced.losses`."""

    @property
    def finest_precision(self) -> Precision:
        """All arrays are float32."""
        return "float32"

    def init(self, draw: jax.typing.ArrayLike) -> Params:
        """Initial weights: for each group the arrays of its models, [R, ...]."""
        return self._stacks.init(draw)

    def partition(self) -> Params:
        """Partition of every leaf of `init` over the mesh."""
        return self._stacks.partition()

    def shares(self, batch: jax.Array) -> jax.Array:
        """Share of each task in the rows, [K]."""
        return jax.nn.one_hot(batch, self.tasks).mean(0)

    def watched_losses(
        self, params: Params, batch: jax.Array, key: jax.Array, numbers: Numbers
    ) -> dict[str, jax.Array]:
        """Contributions of the watched tasks, [R, len(watch)]; all rows are computed."""
        watch = jnp.asarray(self.watch_ids)
        losses = self.losses(params, batch, key, numbers)
        return {name: loss[:, watch] for name, loss in losses.items()}

    def blocks(self, gradient: Any) -> dict[str, Any]:
        """Each array of weights."""
        return dict(gradient)

    def selections(self, gradient: Any, reference: Any) -> dict[str, Any]:
        """None."""
        del gradient, reference
        return {}
