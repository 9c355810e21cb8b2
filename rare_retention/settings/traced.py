"""A family under an objective: losses of all students at once, inside compiled programs."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from rare_retention.settings.family import Family
from rare_retention.settings.mixture import Batch
from rare_retention.settings.objective import Losses, Numbers, Objective
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params


@dataclass(frozen=True)
class Traced:
    """The models of a setting and what is computed of them; equal ones make equal programs.

    Methods return values of students for each group, with a leading axis of its R students.

    Attributes:
        family: the models.
        objective: what they are trained on and asked.
    """

    family: Family
    objective: Objective

    def losses(
        self, params: Params, batch: Batch, key: jax.Array, numbers: Numbers
    ) -> dict[str, Losses]:
        """Loss of a batch in its parts.

        Args:
            params: weights of the R students of each group.
            batch: one of those that `Mixture.batches` makes.
            key: the step's key, from which inputs are drawn where the rows have none.
            numbers: of the setting.
        """
        inputs = self.objective.inputs(batch, key, numbers)
        return self.family.map(lambda model: self.objective.losses(model, inputs), params)

    def watched_losses(
        self, params: Params, batch: Batch, key: jax.Array, numbers: Numbers
    ) -> dict[str, jax.Array]:
        """Contributions of the watched tasks alone, [R, len(watch)] for each group.

        The same numbers as in `losses`, by the cheapest way that gives the same gradients.
        """
        inputs = self.objective.watched_inputs(batch, key, numbers)
        watch = jnp.asarray(self.objective.watch_ids)
        return self.family.map(
            lambda model: self.objective.losses(model, inputs).by_task[watch], params
        )

    def reference(self, params: Params, numbers: Numbers) -> dict[str, jax.Array]:
        """Loss of each watched task, [R, len(watch)] for each group, whatever the batch holds."""
        return self.family.map(lambda model: self.objective.reference(model, numbers), params)

    def probe(self, params: Params, numbers: Numbers) -> dict[str, dict[str, Any]]:
        """Measured values, for each group: name -> [R, ...], as `Objective.quantities` lists."""
        return self.family.map(
            lambda model: self.objective.probe(model, numbers),
            params,
            one_by_one=self.objective.probes_one_by_one,
        )


def traced_of(setting: Setting) -> Traced:
    """The family and the objective of a setting."""
    return Traced(setting.family, setting.objective)
