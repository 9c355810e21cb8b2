"""Gated neurons inside compiled programs: their losses by task, and what is measured of them."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rare_retention.models.gated import Gated
from rare_retention.settings.protocol import Params
from rare_retention.settings.stacks import Stacks
from rare_retention.settings.task_rows import group
from rare_retention.settings.traced_rows import TracedRows


class Numbers(NamedTuple):
    """Arguments of the traced methods: there are none."""


@dataclass(frozen=True, kw_only=True)
class TracedCompetition(TracedRows):
    """Gated neurons and their losses; implements `Traced`.

    Attributes:
        neurons: number of neurons of each model, ascending.
        sharpness: inverse temperature of the gates.
        start: range of the initial angles, in radians.
    """

    neurons: tuple[int, ...]
    sharpness: float
    start: tuple[float, float]

    @cached_property
    def _stacks(self) -> Stacks:
        def draw(neurons: int, initialisation: jax.typing.ArrayLike) -> Gated:
            key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), initialisation)
            return Gated(neurons, self.sharpness, self.start, rngs=nnx.Rngs(key))

        return Stacks(
            {group("neurons", n): partial(draw, n) for n in self.neurons}, self.initialisations
        )

    def losses(
        self, params: Params, batch: jax.Array, key: jax.Array, numbers: Numbers
    ) -> dict[str, jax.Array]:
        """Mean loss of the rows, split by task; there is nothing to draw from the key."""
        share = self.shares(batch)
        return self._stacks.map(lambda student: share * student(), params)

    def reference(self, params: Params, numbers: Numbers) -> dict[str, jax.Array]:
        """Loss of the watched tasks, [R, len(watch)] for each number of neurons."""
        watch = jnp.asarray(self.watch_ids)
        return self._stacks.map(lambda student: student()[watch], params)

    def probe(self, params: Params, numbers: Numbers) -> dict[str, dict[str, jax.Array]]:
        """Values of `measures` for each number of neurons, each with a leading student axis."""

        def one(student: Gated) -> dict[str, jax.Array]:
            angle = student.angle[...]
            # Students of all groups are joined: what a smaller one lacks is NaN.
            missing = max(self.neurons) - angle.size
            return {
                "alignment": student.alignment().max(-1),
                "loss": student(),
                "angle": jnp.pad(angle, (0, missing), constant_values=jnp.nan),
            }

        return self._stacks.map(one, params)
