"""The synthetic setting: bottleneck students on a mixture of regressions (paper Sec. 3)."""

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
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.theory.utility import common_set

if TYPE_CHECKING:
    from rare_retention.settings.traced_regression import TracedRegression


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
    weights: ClassVar[tuple[str, ...]] = ("encoder", "decoders")

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
    def loss_unit(self) -> str:
        """Losses are squared errors."""
        return "mean squared error"

    @property
    def inputs(self) -> int:
        """D."""
        return self.tasks.inputs

    @property
    def draws_inputs(self) -> bool:
        """Inputs are drawn from the step's key."""
        return True

    def constants(self) -> dict[str, tuple[Measure, np.ndarray]]:
        """Prior pi_k and spectra lambda_{k,j}."""
        spectrum = Measure(("task", "direction"), "mean squared error", "eigenvalues lambda_{k,j}")
        return {
            "frequency": (Measure(("task",), "share", "prior pi_k"), self.frequencies),
            "spectrum": (spectrum, self.tasks.spectra()),
        }

    @property
    def wording(self) -> Wording:
        """The prior, or the exponent that it follows from."""
        if not self.tasks.prior:
            return Wording(("tasks.prior_exponent",) * self.tasks.count)
        return Wording(tuple(f"tasks.prior[{k}]" for k in range(self.tasks.count)))

    @property
    def students(self) -> tuple[Student, ...]:
        """All students, by width and then by initialisation, as JAX orders their groups."""
        weights = self.tasks.inputs + self.tasks.count * self.tasks.block  # of a hidden unit
        return tuple(
            Student(group("width", width), width, width, width * weights, i)
            for width in sorted(self.widths)
            for i in range(self.initialisations)
        )

    @property
    def measures(self) -> dict[str, Measure]:
        """What `probe` returns."""
        return {
            "loss": Measure(("task",), "mean squared error", "population loss l_k"),
            "signal": Measure(("task",), "share", "captured share s_k(U) = Tr(P_U C_k)/Tr(C_k)"),
            "residual": Measure((), "energy", "residual of the common tasks delta_F(U)"),
            "common_gradient": Measure((), "norm", "|G_F|, G_F = sum_F pi_k dL_k/dW"),
            "rare_gradient": Measure(("watch",), "norm", "|G_r|, G_r = dL_r/dW"),
            "cosine": Measure(("watch",), "1", "cos(G_r, G_F) on the encoder"),
            "basis_gradient": Measure((), "norm", "|G_F(U)| at U = orth(W^T)"),
            "basis_bound": Measure((), "norm", "2 sqrt(lambda_1(M_F) delta_F(U)) (Theorem 4)"),
        }

    def flops(self, batch: int) -> dict[int | str, float]:
        """Encoder forward and backward (4 B D N), decoders forward and backward (6 B d_T N)."""
        unit = batch * (4.0 * self.tasks.inputs + 6.0 * self.tasks.block)
        return {width: width * unit for width in sorted(self.widths)}

    @cached_property
    def traced(self) -> "TracedRegression":
        """The students and what is computed of them; the first that needs JAX."""
        from rare_retention.settings.traced_regression import TracedRegression

        return TracedRegression(
            tasks=self.tasks.count,
            watch_ids=self.watch_ids,
            rarest=rarest_watched(self),
            block_labels=self.labels["block"],
            initialisations=self.initialisations,
            widths=tuple(sorted(self.widths)),
            inputs=self.tasks.inputs,
            block=self.tasks.block,
        )

    def numbers(self, draw: int) -> Numbers:
        """Spectra, and the prior of the common tasks."""
        from rare_retention.settings import traced_regression

        del draw
        prior, spectra = self.frequencies, self.tasks.spectra()
        common = np.isin(np.arange(self.tasks.count), common_set(prior))
        mass = np.where(common, prior, 0.0)
        moment = np.zeros(self.tasks.inputs)
        moment[: spectra.size] = (mass[:, None] * spectra).ravel()
        arrays = (np.sqrt(spectra), spectra, mass, moment)
        return traced_regression.Numbers(*(array.astype(np.float32) for array in arrays))
