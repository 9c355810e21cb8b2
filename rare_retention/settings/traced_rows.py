"""What the traced parts of the synthetic settings share: a row adds the loss of its task."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from rare_retention.settings.protocol import Numbers, Params, Precision
from rare_retention.settings.stacks import Stacks


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
