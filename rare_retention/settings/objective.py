"""The contract of an objective: what a batch costs a model, task by task, and what is measured."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rare_retention.settings.mixture import Batch
from rare_retention.settings.quantity import Quantity

if TYPE_CHECKING:
    import jax

Array = Any
"""A NumPy array, inside a compiled program a traced one."""

Numbers = Any
"""A NamedTuple of arrays: what `Setting.numbers` returns, an argument of compiled programs."""

Inputs = Any
"""What an objective makes of a batch for all models."""


_NONE: dict[str, "jax.Array"] = {}


class Losses(NamedTuple):
    """The loss of a batch, in parts whose sum is trained on, and what else is to be recorded.

    Attributes:
        by_task: contribution of each task [K], or [R, K] of R students.
        apart: parts that belong to no task, such as a router's balance: name -> scalar, or [R].
        recorded: statistics of the batch: name -> array, or [R, ...].
    """

    by_task: "jax.Array"
    apart: dict[str, "jax.Array"] = _NONE
    recorded: dict[str, "jax.Array"] = _NONE


class Objective(ABC):
    """What one model is trained on and asked; a frozen dataclass, written for a single model.

    Hashable: equal ones make equal programs, so it holds none of the numbers in which runs of one
    program may differ. These come as an argument, so that no program uses those of another run.

    Attributes:
        loss_unit: unit of every loss, such as "nats".
        probes_one_by_one: whether models are probed one after another.
        watch_ids: tasks whose interference is followed, as ids in [0, K).
        rarest: the rarest of them.
    """

    loss_unit: ClassVar[str]
    probes_one_by_one: ClassVar[bool] = False
    watch_ids: tuple[int, ...]
    rarest: int

    @property
    @abstractmethod
    def quantities(self) -> dict[str, Quantity]:
        """Name of each value that `probe` returns, and what it is."""

    @property
    def recorded(self) -> dict[str, Quantity]:
        """Name of each value in `Losses.apart` and `Losses.recorded`, and what it is."""
        return {}

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Names along dimensions of its quantities that have names, but for tasks."""
        return {}

    @abstractmethod
    def shares(self, batch: Batch) -> "jax.Array":
        """Share of each task in the terms of a batch's loss, [K]."""

    @abstractmethod
    def inputs(self, batch: Batch, key: "jax.Array", numbers: Numbers) -> Inputs:
        """What all models are shown of a batch, made once.

        Args:
            batch: one of those that `Mixture.batches` makes.
            key: the step's key, from which inputs are drawn where the rows have none.
            numbers: of the setting.
        """

    def watched_inputs(self, batch: Batch, key: "jax.Array", numbers: Numbers) -> Inputs:
        """As much of `inputs` as the contributions of the watched tasks and their gradients need.

        Arguments are those of `inputs`, and so is by default what is returned.
        """
        return self.inputs(batch, key, numbers)

    @abstractmethod
    def losses(self, model: Any, inputs: Inputs) -> Losses:
        """Loss of a model in parts; their sum is the training loss, a mean over the batch."""

    @abstractmethod
    def reference(self, model: Any, numbers: Numbers) -> "jax.Array":
        """Loss of each watched task, [len(watch)], whatever the batch holds."""

    @abstractmethod
    def probe(self, model: Any, numbers: Numbers) -> dict[str, "jax.Array"]:
        """Measured values of a model, as listed in `quantities`."""
