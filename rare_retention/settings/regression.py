"""The synthetic setting: bottleneck students on a mixture of regressions (paper Sec. 3)."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from rare_retention.config import ConfigError, config, without
from rare_retention.schedule.placement import Wording
from rare_retention.settings.family import WHOLE, Family
from rare_retention.settings.matrix import Matrix
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
    from rare_retention.settings.expected_errors import ExpectedErrors
    from rare_retention.settings.regression_objective import SquaredErrors

LATER = {"gradient": "sampled"}
"""Fields that came later, and the value at which a setting is what it was before there were any."""


@dataclass(frozen=True, kw_only=True)
class Bottlenecks(Family):
    """Linear bottleneck students of several widths.

    Attributes:
        widths: N of the students, ascending.
        initialisations: students of each width.
        inputs: D.
        tasks: K.
        block: d_T.
        expected: whether they are trained on expected gradients, whose products are others.
    """

    widths: tuple[int, ...]
    initialisations: int
    inputs: int
    tasks: int
    block: int
    expected: bool = False

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
        """Encoder forward and backward (4 B D N), decoders forward and backward (6 B d_T N).

        Of an expected gradient, whatever the rows: W W^T and its product with the decoders, the
        decoders' second moment and its product with W (4 N^2 (D + K d_T)).
        """
        if self.expected:
            sides = self.inputs + self.tasks * self.block
            return {width: 4.0 * width**2 * sides for width in self.widths}
        unit = rows * (4.0 * self.inputs + 6.0 * self.block)
        return {width: width * unit for width in self.widths}

    def matrix(self, name: str, axes: int) -> Matrix | None:
        """The encoder; the decoders as one matrix, from hidden units to the outputs of all tasks.

        Were each decoder a matrix of its own, that of a task without rows would take steps of full
        length through the whole gap, along what is left of its momentum, however little.
        """
        del axes
        decoders = Matrix(inputs=(-1,), outputs=(-3, -2))
        return {"encoder": Matrix(inputs=(-1,), outputs=(-2,)), "decoders": decoders}[name]

    @property
    def block_labels(self) -> tuple[str, ...]:
        """The two arrays of weights."""
        return ("encoder", "decoders", WHOLE)


@config
class Regression(TaskRows):
    """Bottleneck students of several widths, each drawn several times; implements `Setting`.

    The tasks are not drawn: their directions are axes of the input, whose distribution is the same
    in every direction.

    Of a batch with n_k rows of task k, inputs x ~ N(0, I_D) are drawn, or averaged over: the
    expected loss of its B rows is sum_k (n_k / B) ||D_k W - A_k||_F^2, with A_k x the target of
    task k. Before it is clipped, its gradient is the mean of the sampled ones over inputs; what
    clipping and Adam make of it is not the mean of what they make of those. Without sampling noise
    Adam's steps are other ones: a task that is shown in bursts is overwritten more (a student of
    width 24 held 0.30 of it where the sampled one held 0.87). Use it to find what is learned in
    the end, as in Figs. 2 and 21, or beside the sampled gradient to tell drift from noise, and not
    in place of it where retention is measured. Streams then differ in their initial weights and
    in the counts of their batches alone.

    Attributes:
        kind: tag of this setting in a config tree.
        tasks: the mixture of regressions.
        widths: N of the students; each at most the number of inputs.
        initialisations: students of each width, which differ in their initial draw only.
        watch: ids of the tasks whose interference is followed; negative ids count from the
            rarest, -1.
        gradient: "sampled", of inputs that are drawn for every batch; or "expected", over all
            inputs, given the rows of each task in the batch.
    """

    size_field: ClassVar[str] = "widths"

    kind: Literal["regression"] = "regression"
    tasks: RegressionTasks = RegressionTasks()
    widths: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    initialisations: Annotated[int, Field(ge=1, le=DRAWS)] = 1
    watch: tuple[int, ...] = (-1,)
    gradient: Literal["sampled", "expected"] = "sampled"

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
        """Inputs are drawn from the step's key, unless they are averaged over."""
        return self.gradient == "sampled"

    def recipe(self) -> dict[str, Any]:
        """All fields; those at `LATER` are left out."""
        return without(super().recipe(), LATER)

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
            expected=self.gradient == "expected",
        )

    @cached_property
    def objective(self) -> "SquaredErrors | ExpectedErrors":
        """What the students are trained on; the first that needs JAX."""
        from rare_retention.settings.expected_errors import ExpectedErrors
        from rare_retention.settings.regression_objective import SquaredErrors

        errors = ExpectedErrors if self.gradient == "expected" else SquaredErrors
        return errors(
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
