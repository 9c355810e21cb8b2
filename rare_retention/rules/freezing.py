"""Freezing of chosen blocks of weights through the gaps between a task's exposures."""

from typing import Literal

from rare_retention.config import config
from rare_retention.rules.gaps import InGaps
from rare_retention.rules.rule import RULES, Seen
from rare_retention.settings.student import Params


@RULES.add
@config
class Freezing(InGaps):
    """Leaves blocks of weights as they are in gaps: what is forgotten in them, and what elsewhere.

    Without `blocks` all weights are frozen. The optimizer's moments go on.

    Attributes:
        kind: tag of this rule in a config tree.
    """

    kind: Literal["freezing"] = "freezing"

    def inside(self, updates: Params, step: Seen) -> Params:
        """Zero in the blocks."""
        import jax
        import jax.numpy as jnp

        def frozen(part: Params) -> Params:
            zeros: Params = jax.tree.map(jnp.zeros_like, part)
            return zeros

        return {group: self.by_block(step.traced, frozen, own) for group, own in updates.items()}
