"""The first-order effect of every update on the watched tasks, summed between measurements."""

from typing import TYPE_CHECKING, Literal

from rare_retention.config import config
from rare_retention.instruments.instrument import INSTRUMENTS, Followed, Instrument, Moment
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    import jax

    from rare_retention.settings.traced import Traced


@INSTRUMENTS.add
@config
class Effect(Instrument):
    """Derivative of the watched tasks' reference losses along each update that was applied.

    By forward-mode differentiation, of whatever the optimizer made of the gradient. What is carried
    is its sum since the last measurement, [R, len(watch)] for each group.

    Attributes:
        kind: tag of this instrument in a config tree.
    """

    kind: Literal["effect"] = "effect"

    def quantities(self, setting: Setting) -> dict[str, Quantity]:
        """The predicted change."""
        meaning = (
            "first-order change of the watched task's loss by the updates since the last "
            "measurement"
        )
        return {"predicted_change": Quantity(("watch",), setting.objective.loss_unit, meaning)}

    def start(self, traced: "Traced", params: Params) -> Followed:
        """The sum before the first update: float32 zeros, [R, len(watch)] for each group."""
        import jax
        import jax.numpy as jnp

        watch = len(traced.objective.watch_ids)
        students = {name: jax.tree.leaves(stack)[0].shape[0] for name, stack in params.items()}
        return {name: jnp.zeros((count, watch)) for name, count in students.items()}

    def follow(self, followed: Followed, moment: Moment) -> Followed:
        """The sum with this update's effect."""
        import jax
        import jax.numpy as jnp

        def reference(params: Params) -> dict[str, jax.Array]:
            return moment.traced.reference(params, moment.numbers)

        with jax.default_matmul_precision(moment.traced.family.finest_precision):
            _, effect = jax.jvp(reference, (moment.params,), (moment.updates,))
        return jax.tree.map(jnp.add, followed, effect)

    def read(self, followed: Followed, moment: Moment) -> "dict[str, dict[str, jax.Array]]":
        """The sum."""
        del moment
        return {"predicted_change": followed}
