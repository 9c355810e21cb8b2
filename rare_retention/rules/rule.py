"""The contract of a gradient rule, which stands between the gradients of a step and its update.

A new one is a configuration that inherits `Rule`, with a `kind` of its own, under `@RULES.add`; a
run names it in `run.rule`. See `rules.reweighting`.
"""

from abc import ABC
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rare_retention.config import ConfigError, config
from rare_retention.registry import Registry
from rare_retention.settings.objective import Numbers
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    import jax

    from rare_retention.settings.traced import Traced

RULES = Registry("gradient rule")

Carried = dict[str, Any]
"""What a rule carries from step to step: group of students -> tree of leaves [R, ...]."""


class Parts(NamedTuple):
    """The gradient of a batch's loss by part; the parts sum to it.

    Attributes:
        watched: of each watched task's contribution, a tree like the weights, leaves [W, R, ...].
        rest: of all else, leaves [R, ...].
    """

    watched: Params
    rest: Params


class Phase(NamedTuple):
    """Where a batch stands between the exposures of the watched tasks.

    Attributes:
        shown: whether the batch holds each watched task, bool [W].
        since: steps since the last batch that held it, int32 [W]: 0 where this one does, -1 before
            the first.
    """

    shown: "jax.Array"
    since: "jax.Array"


class Seen(NamedTuple):
    """One step of the training, as a rule sees it.

    Attributes:
        traced: the models and their losses.
        numbers: of the setting.
        params: weights before the update.
        phase: of the batch.
        carried: what the rule has carried into this step.
        mean: of a function of rows of the batch and their key, its mean over the pieces into which
            the step cuts the batch.
        own: numbers of the rule, `Rule.numbers`.
    """

    traced: "Traced"
    numbers: Numbers
    params: Params
    phase: Phase
    carried: Carried
    mean: Callable[[Callable[[Any, "jax.Array"], Any]], Any]
    own: "Mapping[str, jax.typing.ArrayLike]"


def check_place(field: str, place: int, setting: Setting) -> None:
    """Checks that a task stands at a place in the setting's `watch`.

    Args:
        field: that names the place.
        place: counted from 0.
        setting: of the run.

    Raises:
        ConfigError: it does not.
    """
    count = len(setting.watch_ids)
    if place >= count:
        raise ConfigError(
            field, f"expected a place in setting.watch, from 0 to {count - 1}, got {place}"
        )


@config
class Rule(ABC):
    """Base of all rules; hashable, since programs are compiled for it.

    Attributes:
        kind: tag in a config tree.
        by_part: whether `gradient` reads the parts; where it does not, only their sum is computed.
        LATER: fields that came later, and the value at which a rule is what it was before.
    """

    by_part: ClassVar[bool] = True
    LATER: ClassVar[Mapping[str, Any]] = {}
    kind: str

    def check(self, setting: Setting) -> None:
        """Refuses what the setting has not, before anything runs; by default nothing.

        Args:
            setting: of the run.

        Raises:
            ConfigError: naming a field below the run.
        """
        del setting

    @property
    def numbers(self) -> dict[str, Any]:
        """Numbers in which runs may differ and share their programs, NumPy; by default none."""
        return {}

    @property
    def form(self) -> "Rule":
        """The same with placeholders for its numbers: what a compiled program knows of it."""
        return self

    def start(self, traced: "Traced", params: Params) -> Carried:
        """What is carried into the first step; by default nothing.

        Args:
            traced: the models and their losses.
            params: initial weights, or their shapes.
        """
        del traced, params
        return {}

    def gradient(self, parts: Parts, step: Seen) -> Params:
        """The gradient that the optimizer is given, a tree like the weights; by default their sum.

        Args:
            parts: of the batch's gradient; without `by_part` all of it is `rest`, and `watched` is
                empty.
            step: the step.
        """
        del step
        import jax

        if not self.by_part:
            return parts.rest
        total: Params = jax.tree.map(lambda rest, own: rest + own.sum(0), parts.rest, parts.watched)
        return total

    def update(self, updates: Params, step: Seen) -> Params:
        """The update that is applied, a tree like the weights; by default the optimizer's."""
        del step
        return updates

    def carry(self, updates: Params, step: Seen) -> Carried:
        """What is carried on after the updates were applied; by default as it was."""
        del updates
        return step.carried
