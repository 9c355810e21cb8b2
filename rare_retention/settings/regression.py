"""The synthetic setting: bottleneck students on a mixture of regressions (paper Sec. 3)."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from rare_retention.config import ConfigError, config
from rare_retention.schedule.placement import Wording
from rare_retention.settings.family import WHOLE, Family
from rare_retention.settings.mixture import rarest_watched, watched
from rare_retention.settings.objective import Numbers
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import DRAWS, Student, group
from rare_retention.settings.task_rows import TaskRows
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.theory.utility import common_set

if TYPE_CHECKING:
    import jax

    from rare_retention.models.bottleneck import Bottleneck
    from rare_retention.settings.regression_objective import SquaredErrors


@dataclass(frozen=True, kw_only=True)
class Bottlenecks(Family):
    """Linear bottleneck students of several widths.

    Attributes:
        widths: N of the students, ascending.
        initialisations: students of each width.
        inputs: D.
        tasks: K.
        block: d_T.
    """

    widths: tuple[int, ...]
    initialisations: int
    inputs: int
    tasks: int
    block: int

    @property
    def models(self) -> tuple[Student, ...]:
        """One of each width: an encoder [N, D] and K decoders [d_T, N]."""
        weights = self.inputs + self.tasks * self.block  # of a hidden unit
        return tuple(Student(group("width", n), n, n, n * weights) for n in self.widths)

    def draw(self, model: Student, initialisation: "jax.typing.ArrayLike") -> "Bottleneck":
        """A student whose draw depends on its width and initialisation alone."""
        import jax
        from flax import nnx

        from rare_retention.models.bottleneck import Bottleneck

        seed = jax.random.key(model.width, impl="threefry2x32")
        rngs = nnx.Rngs(jax.random.fold_in(seed, initialisation))
        return Bottleneck(model.width, self.inputs, self.tasks, self.block, rngs=rngs)

    def flops(self, rows: int) -> dict[int | str, float]:
        """Encoder forward and backward (4 B D N), decoders forward and backward (6 B d_T N)."""
        unit = rows * (4.0 * self.inputs + 6.0 * self.block)
        return {width: width * unit for width in self.widths}

    @property
    def block_labels(self) -> tuple[str, ...]:
        """The two arrays of weights."""
        return ("encoder", "decoders", WHOLE)


@config
class Regression(TaskRows):
    """Bottleneck students of several widths, each drawn several times; implements `Setting`.

    The tasks are not drawn: their directions are axes of the input, whose distribution is the same
    in every direction.

    Attributes:
        kind: tag of this setting in a config tree.
        tasks: the mixture of regressions.
        widths: N of the students; each at most the number of inputs.
        initialisations: students of each width, which differ in their initial draw only.
        watch: ids of the tasks whose interference is followed; negative ids count from the
            rarest, -1.
    """

    size_field: ClassVar[str] = "widths"

    kind: Literal["regression"] = "regression"
    tasks: RegressionTasks = RegressionTasks()
    widths: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    initialisations: Annotated[int, Field(ge=1, le=DRAWS)] = 1
    watch: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        if not self.widths:
            raise ConfigError("widths", "expected at least one width, got none")
        for i, width in enumerate(self.widths):
            if not 1 <= width <= self.tasks.inputs:
                raise ConfigError(
                    f"widths[{i}]",
                    f"expected a width from 1 to tasks.inputs = {self.tasks.inputs}, got {width}",
                )
        if len(set(self.widths)) < len(self.widths):
            raise ConfigError("widths", f"expected different widths, got {self.widths}")
        watched(self.watch, self.tasks.count)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the K tasks, most frequent first."""
        return tuple(f"regression {k + 1}" for k in range(self.tasks.count))

    @property
    def frequencies(self) -> np.ndarray:
        """Prior pi [K]."""
        return self.tasks.frequencies()

    @property
    def inputs(self) -> int:
        """D."""
        return self.tasks.inputs

    @property
    def draws_inputs(self) -> bool:
        """Inputs are drawn from the step's key."""
        return True

    def constants(self) -> dict[str, tuple[Quantity, np.ndarray]]:
        """Prior pi_k and spectra lambda_{k,j}."""
        spectrum = Quantity(("task", "direction"), "mean squared error", "eigenvalues lambda_{k,j}")
        return {
            "frequency": (Quantity(("task",), "share", "prior pi_k"), self.frequencies),
            "spectrum": (spectrum, self.tasks.spectra()),
        }

    @property
    def wording(self) -> Wording:
        """The prior, or the exponent that it follows from."""
        if not self.tasks.prior:
            return Wording(("tasks.prior_exponent",) * self.tasks.count)
        return Wording(tuple(f"tasks.prior[{k}]" for k in range(self.tasks.count)))

    @cached_property
    def family(self) -> Bottlenecks:
        """The students."""
        return Bottlenecks(
            widths=tuple(sorted(self.widths)),
            initialisations=self.initialisations,
            inputs=self.tasks.inputs,
            tasks=self.tasks.count,
            block=self.tasks.block,
        )

    @cached_property
    def objective(self) -> "SquaredErrors":
        """What the students are trained on; the first that needs JAX."""
        from rare_retention.settings.regression_objective import SquaredErrors

        return SquaredErrors(
            tasks=self.tasks.count,
            watch_ids=self.watch_ids,
            rarest=rarest_watched(self),
            dimension=self.tasks.inputs,
        )

    def numbers(self, draw: int) -> Numbers:
        """Spectra, and the prior of the common tasks."""
        from rare_retention.settings import regression_objective

        del draw
        prior, spectra = self.frequencies, self.tasks.spectra()
        common = np.isin(np.arange(self.tasks.count), common_set(prior))
        mass = np.where(common, prior, 0.0)
        moment = np.zeros(self.tasks.inputs)
        moment[: spectra.size] = (mass[:, None] * spectra).ravel()
        arrays = (np.sqrt(spectra), spectra, mass, moment)
        return regression_objective.Numbers(*(array.astype(np.float32) for array in arrays))
