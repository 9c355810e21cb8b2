"""One or more neurons between a common and a rare task (paper Example 7, Fig. 11)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from rare_retention.config import ConfigError, From0, Positive, config
from rare_retention.schedule.placement import Wording
from rare_retention.settings.family import WHOLE, Family
from rare_retention.settings.matrix import Matrix
from rare_retention.settings.mixture import rarest_watched, watched
from rare_retention.settings.objective import Numbers
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import DRAWS, Student, group
from rare_retention.settings.task_rows import TaskRows

if TYPE_CHECKING:
    import jax

    from rare_retention.models.gated import Gated
    from rare_retention.settings.competition_objective import Alignments

_TASKS = ("common", "rare")


@dataclass(frozen=True, kw_only=True)
class GatedNeurons(Family):
    """Models of one or more gated neurons, which have nothing but their angles.

    Attributes:
        neurons: number of neurons of each model, ascending.
        initialisations: models of each number.
        sharpness: inverse temperature of the gates.
        start: range of the initial angles, in radians.
    """

    neurons: tuple[int, ...]
    initialisations: int
    sharpness: float
    start: tuple[float, float]

    @property
    def models(self) -> tuple[Student, ...]:
        """One of each number of neurons; a neuron has one angle."""
        return tuple(Student(group("neurons", n), n, n, n) for n in self.neurons)

    def draw(self, model: Student, initialisation: "jax.typing.ArrayLike") -> "Gated":
        """Neurons at random angles; those of equal initialisation share their first neurons."""
        import jax
        from flax import nnx

        from rare_retention.models.gated import Gated

        key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), initialisation)
        return Gated(model.width, self.sharpness, self.start, rngs=nnx.Rngs(key))

    def flops(self, rows: int) -> dict[int | str, float]:
        """None: gated neurons have no matrix products."""
        return dict.fromkeys(self.neurons, 0.0)

    def matrix(self, name: str, axes: int) -> Matrix | None:
        """None: there are angles alone."""
        del name, axes
        return None

    @property
    def block_labels(self) -> tuple[str, ...]:
        """The angles."""
        return ("angle", WHOLE)


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

    kind: Literal["competition"] = "competition"
    neurons: tuple[Positive, ...] = (1, 2)
    initialisations: Annotated[int, Field(ge=1, le=DRAWS)] = 1
    sharpness: From0 = 100.0
    start: tuple[float, float] = (0.2, 0.7)
    rare: float = 0.1
    watch: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        if not self.neurons:
            raise ConfigError("neurons", "expected at least one number, got none")
        if len(set(self.neurons)) < len(self.neurons):
            raise ConfigError("neurons", f"expected different numbers, got {self.neurons}")
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
    def draws_inputs(self) -> bool:
        """Rows have no inputs."""
        return False

    @property
    def inputs(self) -> int:
        """Dimension of the plane that the two task directions span."""
        return len(_TASKS)

    def constants(self) -> dict[str, tuple[Quantity, np.ndarray]]:
        """Shares of the two tasks."""
        return {"frequency": (Quantity(("task",), "share", "shares p and q"), self.frequencies)}

    @cached_property
    def family(self) -> GatedNeurons:
        """The neurons."""
        return GatedNeurons(
            neurons=tuple(sorted(self.neurons)),
            initialisations=self.initialisations,
            sharpness=self.sharpness,
            start=self.start,
        )

    @cached_property
    def objective(self) -> "Alignments":
        """What the neurons are trained on; the first that needs JAX."""
        from rare_retention.settings.competition_objective import Alignments

        return Alignments(
            tasks=len(_TASKS),
            watch_ids=self.watch_ids,
            rarest=rarest_watched(self),
            most=max(self.neurons),
        )

    def numbers(self, draw: int) -> Numbers:
        """None: frequencies reach the neurons through the rows of the batches alone."""
        from rare_retention.settings import competition_objective

        del draw
        return competition_objective.Numbers()
