"""What rules that act in the gaps between a task's exposures have in common."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rare_retention.config import ConfigError, Natural, config
from rare_retention.rules.rule import Rule, Seen, check_place
from rare_retention.settings.family import WHOLE, Family
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    from rare_retention.settings.traced import Traced

Part = dict[str, Any]
"""Weights of one group of students by block: name -> tree of leaves [R, ...]."""


def _blocks(family: Family) -> list[str]:
    """Names of the blocks that any size has: selections of their weights are none."""
    import jax

    weights = jax.eval_shape(family.init, np.uint32(0))
    each = [jax.eval_shape(family.blocks, own) for own in weights.values()]
    known = {name for blocks in each for name in blocks}
    return [name for name in family.block_labels if name in known]


@config
class InGaps(Rule):
    """Base of rules that change the updates in gaps and no others.

    The first gap begins after the first exposure.

    Attributes:
        gaps: place in the setting's `watch` of the task whose exposures the gaps lie between.
        after: steps from an exposure to the first changed update. An optimizer with momentum goes
            on learning from an exposure for a while.
        blocks: names of the blocks of weights that are changed, each by itself (`Family.blocks`);
            none: all weights at once. A size that lacks one of them, such as a layer, goes on
            without the change there; one that lacks all of them is as without the rule.
    """

    by_part: ClassVar[bool] = False

    gaps: Natural = 0
    after: Natural = 20
    blocks: tuple[str, ...] = ()

    def check(self, setting: Setting) -> None:
        """Refuses a task that is not watched, and blocks that no size has."""
        check_place("rule.gaps", self.gaps, setting)
        if not self.blocks:
            return
        known = _blocks(setting.family)
        for i, name in enumerate(self.blocks):
            if name not in known:
                compared = f"{name!r} is compared on, but its weights stand in other blocks"
                why = compared if name in setting.family.block_labels else f"no block {name!r}"
                remedy = "; leave `blocks` out for all weights" if name == WHOLE else ""
                raise ConfigError(
                    f"rule.blocks[{i}]", f"{why}; expected some of {', '.join(known)}{remedy}"
                )

    @property
    def numbers(self) -> dict[str, Any]:
        """Where a gap begins to be changed."""
        return {"after": np.int32(self.after)}

    @property
    def form(self) -> "InGaps":
        """The same with any number there."""
        return dataclasses.replace(self, after=0)

    @abstractmethod
    def inside(self, updates: Params, step: Seen) -> Params:
        """The update that is applied in a gap.

        Args:
            updates: the optimizer's.
            step: the step.
        """

    def update(self, updates: Params, step: Seen) -> Params:
        """The changed update in gaps; elsewhere the optimizer's."""
        import jax

        since = step.phase.since[self.gaps]
        in_gap = (since > 0) & (since >= step.own["after"])
        changed: Params = jax.lax.cond(
            in_gap, lambda own: self.inside(own, step), lambda own: own, updates
        )
        return changed

    def by_block(
        self, traced: "Traced", change: Callable[..., Any], first: Any, *others: Any
    ) -> Any:
        """A function of the chosen parts of a group's weights; all others stay as they are.

        Args:
            traced: the models.
            change: part of each tree -> the new part of the first.
            first: tree of leaves [R, ...].
            others: trees like it.
        """
        import jax

        if not self.blocks:
            return change(first, *others)
        own, place = jax.vjp(traced.family.blocks, first)
        rest = [traced.family.blocks(other) for other in others]
        new = {
            name: change(part, *(other[name] for other in rest)) if name in self.blocks else part
            for name, part in own.items()
        }
        (joined,) = place(new)  # each weight stands in one block: the transpose puts it back
        return joined
