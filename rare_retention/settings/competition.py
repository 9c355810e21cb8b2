"""One or more neurons between a common and a rare task (paper Example 7, Fig. 11)."""

import math
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from rare_retention.config import ConfigError, config
from rare_retention.data.exposure import Wording
from rare_retention.settings.protocol import (
    DRAWS,
    Measure,
    Numbers,
    Student,
    rarest_watched,
    watched,
)
from rare_retention.settings.task_rows import TaskRows, group

if TYPE_CHECKING:
    from rare_retention.settings.traced_competition import TracedCompetition

_TASKS = ("common", "rare")


@config
class Competition(TaskRows):
    """Gated neurons that compete for a common and a rare task; implements `Setting`.

    Rows of a batch have no inputs: a row is the task whose loss it adds. Figure 11 is plain
    gradient descent without clipping, on batches of one row.

    Attributes:
        kind: tag of this setting in a config tree.
        neurons: number of neurons of each model.
        initialisations: models of each number of neurons, which differ in their initial angles
            only; those of equal initialisation share their first neurons.
        sharpness: inverse temperature of the gates, see `Gated`.
        start: range in radians from which the initial angles are drawn, from 0 (the common
            direction, where no gradient turns a neuron) to pi / 2 (the rare one). By default every
            neuron starts nearer to the common direction.
        rare: frequency q of the rare task; the common one has p = 1 - q.
        watch: ids of the tasks whose interference is followed; -1 is the rare task.
    """

    size_field: ClassVar[str] = "neurons"
    weights: ClassVar[tuple[str, ...]] = ("angle",)

    kind: Literal["competition"] = "competition"
    neurons: tuple[int, ...] = (1, 2)
    initialisations: Annotated[int, Field(ge=1, le=DRAWS)] = 1
    sharpness: float = 100.0
    start: tuple[float, float] = (0.2, 0.7)
    rare: float = 0.1
    watch: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        if not self.neurons:
            raise ConfigError("neurons", "expected at least one number, got none")
        for i, neurons in enumerate(self.neurons):
            if neurons < 1:
                raise ConfigError(f"neurons[{i}]", f"expected at least 1, got {neurons}")
        if len(set(self.neurons)) < len(self.neurons):
            raise ConfigError("neurons", f"expected different numbers, got {self.neurons}")
        if self.sharpness < 0:
            raise ConfigError("sharpness", f"expected at least 0, got {self.sharpness}")
        if not 0 <= self.start[0] <= self.start[1] <= math.pi / 2:
            raise ConfigError(
                "start", f"expected two ascending angles from 0 to pi / 2, got {self.start}"
            )
        if not 0 < self.rare <= 0.5:
            raise ConfigError("rare", f"expected a share above 0, at most 0.5, got {self.rare}")
        watched(self.watch, len(_TASKS))

    @property
    def task_names(self) -> tuple[str, ...]:
        """The common task, then the rare one."""
        return _TASKS

    @property
    def frequencies(self) -> np.ndarray:
        """Shares (p, q) of the two tasks, float64."""
        return np.array([1 - self.rare, self.rare])

    @property
    def wording(self) -> Wording:
        """One field decides both frequencies."""
        return Wording(("rare", "rare"))

    @property
    def loss_unit(self) -> str:
        """Losses are shares of a task."""
        return "1"

    @property
    def draws_inputs(self) -> bool:
        """Rows have no inputs."""
        return False

    @property
    def inputs(self) -> int:
        """Dimension of the plane that the two task directions span."""
        return len(_TASKS)

    @property
    def students(self) -> tuple[Student, ...]:
        """All models, by number of neurons and then by initialisation; a neuron has one angle."""
        return tuple(
            Student(group("neurons", neurons), neurons, neurons, neurons, i)
            for neurons in sorted(self.neurons)
            for i in range(self.initialisations)
        )

    @property
    def measures(self) -> dict[str, Measure]:
        """What `probe` returns."""
        return {
            "alignment": Measure(("task",), "1", "largest (u.v)^2 of a neuron u, task direction v"),
            "loss": Measure(("task",), "1", "task loss 1 - sum_i g_i (u_i.v)^2"),
            "angle": Measure(("neuron",), "rad", "angle from the common direction to the rare one"),
        }

    def constants(self) -> dict[str, tuple[Measure, np.ndarray]]:
        """Shares of the two tasks."""
        return {"frequency": (Measure(("task",), "share", "shares p and q"), self.frequencies)}

    def flops(self, batch: int) -> dict[int | str, float]:
        """None: gated neurons have no matrix products."""
        return dict.fromkeys(sorted(self.neurons), 0.0)

    @cached_property
    def traced(self) -> "TracedCompetition":
        """The neurons and what is computed of them; the first that needs JAX."""
        from rare_retention.settings.traced_competition import TracedCompetition

        return TracedCompetition(
            tasks=len(_TASKS),
            watch_ids=self.watch_ids,
            rarest=rarest_watched(self),
            block_labels=self.labels["block"],
            initialisations=self.initialisations,
            neurons=tuple(sorted(self.neurons)),
            sharpness=self.sharpness,
            start=self.start,
        )

    def numbers(self, draw: int) -> Numbers:
        """None: frequencies reach the neurons through the rows of the batches alone."""
        from rare_retention.settings import traced_competition

        del draw
        return traced_competition.Numbers()
