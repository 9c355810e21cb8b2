"""What every update does to the watched tasks to second order, by block of weights."""

from typing import TYPE_CHECKING, Literal

from rare_retention.config import config
from rare_retention.instruments.instrument import INSTRUMENTS, Followed, Instrument, Moment
from rare_retention.settings.family import WHOLE
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    import jax

    from rare_retention.settings.traced import Traced

FIRST, SECOND = "interference_first", "interference_second"
"""Names of the two recorded values."""


@INSTRUMENTS.add
@config
class Interference(Instrument):
    """Changes of the watched tasks' reference losses by every update, by block of weights.

    An update u at weights with gradient g_r and Hessian H_r of a task's reference loss changes that
    loss by <u, g_r> + 1/2 <u, H_r u> to second order, exactly where the loss is quadratic along u.
    Both are sums over blocks b of weights, of <u_b, g_r> and 1/2 <u_b, H_r u>: blocks that act
    together share what they do together. u is what the optimizer made of the gradient.

    Values are changes of the loss, as those of `Effect`: above 0 the task gets worse. Interference
    I_b = -sum over steps of <u_b, g_r> has the other sign.

    Each block of `Family.blocks` has a value; `WHOLE` is their sum, whose first order is that of
    `Effect`. Blocks that a size lacks are NaN, and so are `Family.selections`: which weights these
    are changes from step to step, so that a sum over steps would be of no one set of weights.

    The gradient is differentiated along the update, forward over reverse: no matrix is formed. What
    is carried are the sums since the last measurement.

    Attributes:
        kind: tag of this instrument in a config tree.
    """

    kind: Literal["interference"] = "interference"

    def quantities(self, setting: Setting) -> dict[str, Quantity]:
        """The two orders, [watch, block], in the loss's unit."""
        since = "of the watched task's loss by the updates since the last measurement, by block"
        dims, unit = ("watch", "block"), setting.objective.loss_unit
        return {
            FIRST: Quantity(dims, unit, f"first-order change {since}"),
            SECOND: Quantity(dims, unit, f"second-order change {since}"),
        }

    def start(self, traced: "Traced", params: Params) -> Followed:
        """Both sums before the first update: zeros [R, len(watch), block] for each group."""
        import jax
        import jax.numpy as jnp

        shape = (len(traced.objective.watch_ids), len(traced.family.block_labels))
        students = {name: jax.tree.leaves(stack)[0].shape[0] for name, stack in params.items()}
        return {
            name: {order: jnp.zeros((count, *shape)) for order in (FIRST, SECOND)}
            for name, count in students.items()
        }

    def follow(self, followed: Followed, moment: Moment) -> Followed:
        """The sums with this update's changes."""
        import jax
        import jax.numpy as jnp

        first, along = _along(moment)
        changes = {
            group: {
                FIRST: _labelled(moment.traced, first[group]),
                SECOND: _labelled(moment.traced, along[group]) / 2,
            }
            for group in moment.params
        }
        return jax.tree.map(jnp.add, followed, changes)

    def read(self, followed: Followed, moment: Moment) -> "dict[str, dict[str, jax.Array]]":
        """The sums."""
        del moment
        return {
            order: {group: sums[order] for group, sums in followed.items()}
            for order in (FIRST, SECOND)
        }


Blocks = dict[str, dict[str, "jax.Array"]]
"""Group of students -> block that they have -> [R], with an axis of watched tasks before it."""


def _along(moment: Moment) -> tuple[Blocks, Blocks]:
    """<u_b, g_r> and <u_b, H_r u> of the update u of a step."""
    import jax
    import jax.numpy as jnp

    from rare_retention.train.parts import parts

    traced = moment.traced
    each = jnp.eye(len(traced.objective.watch_ids))

    def slopes(params: Params) -> Blocks:
        found: Blocks = parts(
            lambda weights: traced.reference(weights, moment.numbers),
            params,
            each,
            lambda gradient: _by_block(traced, gradient, moment.updates),
        )
        return found

    with jax.default_matmul_precision(traced.family.finest_precision):
        # The update stays as it is while weights move: the slopes' own slope is <u_b, H_r u>.
        return jax.jvp(slopes, (moment.params,), (moment.updates,))


def _by_block(traced: "Traced", gradient: Params, updates: Params) -> Blocks:
    """Inner products [R] of a gradient and the updates on each block and on all weights."""
    import jax.numpy as jnp

    from rare_retention.train.parts import inner

    found = {}
    for group, own in gradient.items():
        update = traced.family.blocks(updates[group])
        products = {name: inner(g, update[name]) for name, g in traced.family.blocks(own).items()}
        products[WHOLE] = jnp.stack(list(products.values())).sum(0)
        found[group] = products
    return found


def _labelled(traced: "Traced", blocks: "dict[str, jax.Array]") -> "jax.Array":
    """Values of one group's blocks, [R, len(watch), block], NaN for those that it lacks."""
    import jax.numpy as jnp

    missing = jnp.full_like(blocks[WHOLE], jnp.nan)
    ordered = [blocks.get(name, missing) for name in traced.family.block_labels]
    return jnp.swapaxes(jnp.stack(ordered, axis=-1), 0, 1)
