"""The contract of an instrument, which measures something inside the compiled step.

A new one is a configuration that inherits `Instrument`, with a `kind` of its own, under
`@INSTRUMENTS.add`; a study lists it in `run.measure.instruments`. See `instruments.effect`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rare_retention.config import config
from rare_retention.registry import Registry
from rare_retention.settings.objective import Numbers
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params

if TYPE_CHECKING:
    import jax

    from rare_retention.settings.traced import Traced

INSTRUMENTS = Registry("instrument")

Followed = dict[str, Any]
"""What an instrument carries from step to step: group of students -> tree of leaves [R, ...]."""


class Moment(NamedTuple):
    """One step of the training, as an instrument sees it.

    Attributes:
        traced: the models and their losses.
        numbers: of the setting.
        params: weights before the update.
        gradient: of the batch's loss, a tree like `params`.
        updates: what is added to the weights, a tree like `params`.
        mean: of a function of rows of a batch and their key, its mean over the pieces into which
            the step cuts the batch.
    """

    traced: "Traced"
    numbers: Numbers
    params: Params
    gradient: Params
    updates: Params
    mean: Callable[[Callable[[Any, "jax.Array"], Any]], Any]


@config
class Instrument(ABC):
    """Base of all instruments; hashable, since programs are compiled for it.

    It never changes an update: it is given what the step has computed, and gives values back.

    Attributes:
        kind: tag in a config tree; a run lists each kind once.
    """

    kind: str

    @abstractmethod
    def quantities(self, setting: Setting) -> dict[str, Quantity]:
        """Name of each value that `read` returns, and what it is."""

    def start(self, traced: "Traced", params: Params) -> Followed:
        """What is carried into the first step after a measurement; by default nothing.

        Args:
            traced: the models and their losses.
            params: weights, or their shapes.
        """
        del traced, params
        return {}

    def follow(self, followed: Followed, moment: Moment) -> Followed:
        """What is carried on after a step; by default as it was. Every step calls it."""
        del moment
        return followed

    @abstractmethod
    def read(self, followed: Followed, moment: Moment) -> "dict[str, dict[str, jax.Array]]":
        """Measured values at the end of a chunk of steps, whose last step is the moment.

        Args:
            followed: as `follow` returned it for that step.
            moment: the last step.

        Returns:
            Name -> for each group [R, ...].
        """
