"""Gated neurons inside compiled programs: their losses by task, and what is measured of them."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rare_retention.models.gated import Gated
from rare_retention.settings.objective import Losses
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.row_objective import RowObjective


class Numbers(NamedTuple):
    """Arguments of the objective: there are none."""


@dataclass(frozen=True, kw_only=True)
class Alignments(RowObjective):
    """Loss 1 - sum_i g_i (u_i.v_k)^2 of each task k, over neurons u_i with gates g_i.

    v_k is the direction of the task in the plane; the gates share each task out among the neurons
    (`models.gated.Gated`). A row of the batch adds the loss of its task.

    Attributes:
        most: number of neurons of the largest model; angles of smaller ones are padded to it.
    """

    loss_unit = "1"
    most: int

    @property
    def quantities(self) -> dict[str, Quantity]:
        """What `probe` returns."""
        aligned = "largest (u.v)^2 of a neuron u, task direction v"
        return {
            "alignment": Quantity(("task",), "1", aligned),
            "loss": Quantity(("task",), "1", "task loss 1 - sum_i g_i (u_i.v)^2"),
            "angle": Quantity(("neuron",), "rad", "from the common direction to the rare one"),
        }

    def inputs(self, batch: jax.Array, key: jax.Array, numbers: Numbers) -> jax.Array:
        """Share of each task in the rows, [K]; rows have no inputs."""
        del key, numbers
        return self.shares(batch)

    def losses(self, model: Gated, inputs: jax.Array) -> Losses:
        """Mean loss of the rows, split by task."""
        return Losses(inputs * model())

    def reference(self, model: Gated, numbers: Numbers) -> jax.Array:
        """Loss of the watched tasks, [len(watch)]."""
        del numbers
        return model()[jnp.asarray(self.watch_ids)]

    def probe(self, model: Gated, numbers: Numbers) -> dict[str, jax.Array]:
        """Alignments, losses and angles; angles that a smaller model lacks are NaN."""
        del numbers
        angle = model.angle[...]
        return {
            "alignment": model.alignment().max(-1),
            "loss": model(),
            "angle": jnp.pad(angle, (0, self.most - angle.size), constant_values=jnp.nan),
        }
