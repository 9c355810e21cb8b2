"""What the synthetic settings share: a row of the batch is the task whose loss it adds."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from rare_retention.config import to_dict
from rare_retention.data.exposure import Schedule
from rare_retention.settings.protocol import Params, gradient_labels, watched
from rare_retention.settings.stacks import Stacks


class TaskRows(ABC):
    """Base of a setting whose batches hold one task id a row, and whose arrays are float32.

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
    @abstractmethod
    def _stacks(self) -> Stacks:
        """The students."""

    @abstractmethod
    def losses(self, params: Params, batch: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        """Mean loss of the rows, split by task; see `Setting.losses`."""

    @property
    def size_names(self) -> tuple[int, ...]:
        """The sizes, as they are declared."""
        names: tuple[int, ...] = getattr(self, self.size_field)
        return names

    @property
    def finest_precision(self) -> Literal["float32"]:
        """All arrays are float32."""
        return "float32"

    @property
    def row_tokens(self) -> int:
        """A row is one observation."""
        return 1

    @property
    def slots(self) -> int:
        """A row is of one task."""
        return 1

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

    def init(self) -> Params:
        """Initial weights: for each group the arrays of its models, [R, ...]."""
        return self._stacks.init()

    def partition(self) -> Params:
        """Partition of every leaf of `init` over the mesh."""
        return self._stacks.partition()

    def batches(self, schedule: Schedule, steps: range, rows: slice) -> np.ndarray:
        """Task of each row, int32; inputs, if there are any, are drawn where they are used."""
        return np.stack([schedule.rows(step)[rows] for step in steps])

    def shares(self, batch: jax.Array) -> jax.Array:
        """Share of each task in the rows, [K]."""
        return jax.nn.one_hot(batch, len(self.task_names)).mean(0)

    def watched_losses(
        self, params: Params, batch: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        """Contributions of the watched tasks, [R, len(watch)]; all rows are computed."""
        watch = jnp.asarray(self.watch_ids)
        return {name: loss[:, watch] for name, loss in self.losses(params, batch, key).items()}

    def blocks(self, gradient: Any) -> dict[str, Any]:
        """Each array of weights."""
        return dict(gradient)

    def selections(self, gradient: Any, reference: Any) -> dict[str, Any]:
        """None."""
        del gradient, reference
        return {}
