"""Re-weighting of tasks: the plainest rule, and the control of every other one.

Whatever a rule gains for a rare task, a larger weight of that task may gain as well, at the same
cost to the common ones.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rare_retention.config import config
from rare_retention.rules.rule import RULES, Parts, Rule, Seen
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    pass


@RULES.add
@config
class Reweighting(Rule):
    """Multiplies each watched task's part of the batch gradient by a factor before the optimizer.

    The parts of other tasks stay as they are, and the sum is not scaled back: where gradients are
    clipped, the weighted sum is.

    Attributes:
        kind: tag of this rule in a config tree.
        factor: 1 changes nothing, 0 leaves the watched tasks out.
    """

    kind: Literal["reweighting"] = "reweighting"
    factor: Annotated[float, Field(ge=0)] = 1.0

    def gradient(self, parts: Parts, step: Seen) -> Params:
        """The weighted sum of the parts."""
        import jax

        def total(rest: jax.Array, watched: jax.Array) -> jax.Array:
            return rest + self.factor * watched.sum(0)

        found: Params = jax.tree.map(total, parts.rest, parts.watched)
        return found
