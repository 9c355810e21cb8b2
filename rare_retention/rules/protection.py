"""Protection of a task through the gaps between its exposures: the counterfactual of forgetting.

What a student would keep if nothing could undo it says how much of a difference between sizes is
forgetting. It is a tool of measurement and no way to train: it reads the task's reference loss.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from rare_retention.config import Natural, config
from rare_retention.rules.gaps import InGaps
from rare_retention.rules.rule import RULES, Seen, check_place
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    import jax


@RULES.add
@config
class Protection(InGaps):
    """Takes out of each update in a gap what raises a watched task's reference loss.

    From update u to u - max(<u, g>, 0) / <g, g> g for each student, with g the gradient of the
    reference loss before the update and <.,.> over all of its weights: to first order the loss
    does not rise, and what lowers it stays. With `blocks` the same is done in each of them, with
    its own part of g, and true of these alone: the others may still raise the loss.

    What lowers the loss by chance may teach a task that is never shown. With `removed="component"`
    the update becomes u - <u, g> / <g, g> g: to first order the loss neither rises nor falls.

    Attributes:
        kind: tag of this rule in a config tree.
        removed: "harm", what raises the loss; or "component", all that changes it.
        along: place of the task whose reference loss is protected; None: the same. Another one,
            such as one that is never shown, is the control: it should make no difference.
    """

    LATER: ClassVar[Mapping[str, Any]] = {"removed": "harm"}

    kind: Literal["protection"] = "protection"
    removed: Literal["harm", "component"] = "harm"
    along: Natural | None = None

    @property
    def numbers(self) -> dict[str, Any]:
        """Where a gap begins to be changed, and the least inner product that is taken out."""
        least = 0.0 if self.removed == "harm" else -np.inf
        return super().numbers | {"least": np.float32(least)}

    @property
    def form(self) -> "Protection":
        """The same with any numbers there."""
        return dataclasses.replace(self, after=0, removed="harm")

    def check(self, setting: Setting) -> None:
        """Refuses tasks that are not watched, and blocks that no size has."""
        super().check(setting)
        if self.along is not None:
            check_place("rule.along", self.along, setting)

    def inside(self, updates: Params, step: Seen) -> Params:
        """The update without what is removed."""
        import jax
        import jax.numpy as jnp

        place = self.gaps if self.along is None else self.along

        def loss(params: Params) -> "jax.Array":
            each = step.traced.reference(params, step.numbers)
            return jnp.stack([own[:, place].sum() for own in each.values()]).sum()

        with jax.default_matmul_precision(step.traced.family.finest_precision):
            gradients = jax.grad(loss)(step.params)
        return {
            group: self.by_block(
                step.traced, partial(_without, step.own["least"]), own, gradients[group]
            )
            for group, own in updates.items()
        }


def _without(least: "jax.typing.ArrayLike", update: Any, gradient: Any) -> Any:
    """The update of each student, less what lies along the gradient; trees of leaves [R, ...].

    Args:
        least: inner product of update and gradient below which nothing more is taken out: 0 takes
            out what raises the loss, minus infinity all.
        update: of each student.
        gradient: of the reference loss.
    """
    import jax
    import jax.numpy as jnp

    size = jnp.maximum(_inner(gradient, gradient), jnp.finfo(jnp.float32).tiny)
    share = jnp.maximum(_inner(update, gradient), least) / size

    def without(u: "jax.Array", g: "jax.Array") -> "jax.Array":
        return u - share.reshape(-1, *[1] * (g.ndim - 1)).astype(u.dtype) * g

    return jax.tree.map(without, update, gradient)


def _inner(first: Any, second: Any) -> "jax.Array":
    """Inner product of each student's weights in two trees of leaves [R, ...]; float32 [R]."""
    import jax
    import jax.numpy as jnp

    def leaf(a: "jax.Array", b: "jax.Array") -> "jax.Array":
        product = a.astype(jnp.float32) * b.astype(jnp.float32)
        return product.sum(range(1, product.ndim))

    products = jax.tree.leaves(jax.tree.map(leaf, first, second))
    return jnp.stack(products).sum(0)
