"""What objectives share in which a row of the batch adds the loss of its one task."""

from dataclasses import dataclass

import jax

from rare_retention.settings.objective import Objective


@dataclass(frozen=True, kw_only=True)
class RowObjective(Objective):
    """Base of such an objective: a batch is the task of each row, int [B].

    Attributes:
        tasks: K.
        watch_ids: watched tasks.
        rarest: of them.
    """

    tasks: int
    watch_ids: tuple[int, ...]
    rarest: int

    def shares(self, batch: jax.Array) -> jax.Array:
        """Share of each task in the rows, [K]."""
        return jax.nn.one_hot(batch, self.tasks).mean(0)
