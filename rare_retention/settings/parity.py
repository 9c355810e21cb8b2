"""Sparse parities at power-law frequencies, learned by perceptrons (Michaud et al. 2023).

"The Quantization Model of Neural Scaling", arXiv 2303.13506. A row names one of K subtasks, one-hot
in its control bits, and has n random task bits. Its label is the parity of the m task bits that are
the subtask's own.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from rare_retention.config import ConfigError, From0, Natural, Positive, config, without
from rare_retention.schedule.placement import Wording
from rare_retention.settings.family import WHOLE, Family
from rare_retention.settings.matrix import Matrix
from rare_retention.settings.mixture import rarest_watched, watched
from rare_retention.settings.objective import Numbers
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import DRAWS, Student, group
from rare_retention.settings.task_rows import TaskRows
from rare_retention.tasks.subsets import MOST_SUBSETS, asked_rows, random_subsets
from rare_retention.theory.utility import power_prior

if TYPE_CHECKING:
    import jax

    from rare_retention.models.perceptron import Perceptron
    from rare_retention.settings.parity_objective import CrossEntropies

_OUTPUTS = 2

LATER = {"shams": 0}
"""Fields that came later, and the value at which a run is what it was before there were any."""


@dataclass(frozen=True, kw_only=True)
class Perceptrons(Family):
    """Perceptrons of one hidden layer, of several widths.

    Attributes:
        widths: N of the students, ascending.
        initialisations: students of each width.
        tasks: K.
        bits: n.
    """

    widths: tuple[int, ...]
    initialisations: int
    tasks: int
    bits: int

    @property
    def models(self) -> tuple[Student, ...]:
        """One of each width: K + n weights, a bias and two outputs to a hidden unit."""
        weights = self.tasks + self.bits + 1 + _OUTPUTS  # of a hidden unit
        return tuple(Student(group("width", n), n, n, n * weights + _OUTPUTS) for n in self.widths)

    def draw(self, model: Student, initialisation: "jax.typing.ArrayLike") -> "Perceptron":
        """A student whose draw depends on its width and initialisation alone."""
        import jax
        from flax import nnx

        from rare_retention.models.perceptron import Perceptron

        seed = jax.random.key(model.width, impl="threefry2x32")
        rngs = nnx.Rngs(jax.random.fold_in(seed, initialisation))
        return Perceptron(model.width, self.tasks, self.bits, rngs=rngs)

    def flops(self, rows: int) -> dict[int | str, float]:
        """Bits to hidden units and back (4 B n N), hidden units to outputs and back (12 B N).

        Inputs need no gradient. The control bits take no product: they pick a row of weights.
        """
        unit = rows * (4.0 * self.bits + 6.0 * _OUTPUTS)
        return {width: width * unit for width in self.widths}

    def matrix(self, name: str, axes: int) -> Matrix | None:
        """The weights of the bits; those of the task are an embedding, the last ones a readout."""
        del axes
        return Matrix() if name == "bits" else None

    @property
    def block_labels(self) -> tuple[str, ...]:
        """Each array of weights; first those that all subtasks share."""
        return ("bits", "bias", "control", "output", "output_bias", WHOLE)


@config
class Parity(TaskRows):
    """Multitask sparse parity, learned by perceptrons of several widths; implements `Setting`.

    Attributes:
        kind: tag of this setting in a config tree.
        tasks: K, the number of subtasks that are shown.
        shams: further subtasks behind them that never are, and are measured all the same; they have
            control bits too.
        bits: n, the number of task bits.
        subset: m, how many of them each parity is of.
        prior_exponent: of the frequencies p_k ~ k^-exponent (k = 1 is the most frequent); that
            paper's alpha + 1.
        widths: N of the students.
        initialisations: students of each width, which differ in their initial draw only.
        evaluated: rows of task bits on which every subtask is measured, fixed for all steps and
            streams; all 2^n rows where these are no more.
        task_seed: seed of the subsets, of which every draw of the tasks has others, and of the
            evaluated rows.
        watch: ids of the subtasks whose interference is followed; negative ids count from the
            last, -1.
    """

    size_field: ClassVar[str] = "widths"

    kind: Literal["parity"] = "parity"
    tasks: Positive = 500
    shams: Natural = 0
    bits: Positive = 100
    subset: Positive = 3
    prior_exponent: From0 = 1.4
    widths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (16, 64, 256)
    initialisations: Annotated[int, Field(ge=1, le=DRAWS)] = 1
    evaluated: Positive = 1000
    task_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    watch: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        if len(set(self.widths)) < len(self.widths):
            raise ConfigError("widths", f"expected different widths, got {self.widths}")
        if self.subset > self.bits:
            raise ConfigError(
                "subset", f"expected at most bits = {self.bits} of the bits, got {self.subset}"
            )
        count = math.comb(self.bits, self.subset)
        if count >= MOST_SUBSETS:
            raise ConfigError(
                "subset",
                f"expected fewer than 2^62 subsets, but there are {count:.3g} of {self.subset} "
                f"of {self.bits} bits",
            )
        if self._count > count:
            raise ConfigError(
                "tasks",
                f"expected at most {count}, the number of subsets of {self.subset} of "
                f"{self.bits} bits, got {self._count}",
            )
        watched(self.watch, self._count)

    @property
    def _count(self) -> int:
        """Number of subtasks, shams included."""
        return self.tasks + self.shams

    def recipe(self) -> dict[str, Any]:
        """All fields; those at `LATER` are left out."""
        return without(super().recipe(), LATER)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the K subtasks, most frequent first, and of the shams."""
        return tuple(f"parity {k + 1}" for k in range(self._count))

    @property
    def frequencies(self) -> np.ndarray:
        """Shares p of the subtasks, 0 for the shams."""
        return np.pad(power_prior(self.tasks, self.prior_exponent), (0, self.shams))

    @property
    def wording(self) -> Wording:
        """All follow from the exponent."""
        return Wording(("prior_exponent",) * self._count)

    @property
    def inputs(self) -> int:
        """Control bits and task bits."""
        return self._count + self.bits

    @property
    def draws_inputs(self) -> bool:
        """Task bits are drawn from the step's key."""
        return True

    @property
    def draws_tasks(self) -> bool:
        """Another draw has other subsets."""
        return True

    def constants(self) -> dict[str, tuple[Quantity, np.ndarray]]:
        """Shares of the subtasks."""
        return {"frequency": (Quantity(("task",), "share", "shares p_k"), self.frequencies)}

    @cached_property
    def family(self) -> Perceptrons:
        """The students."""
        return Perceptrons(
            widths=tuple(sorted(self.widths)),
            initialisations=self.initialisations,
            tasks=self._count,
            bits=self.bits,
        )

    @cached_property
    def objective(self) -> "CrossEntropies":
        """What the students are trained on; the first that needs JAX."""
        from rare_retention.settings.parity_objective import CrossEntropies

        return CrossEntropies(
            tasks=self._count, watch_ids=self.watch_ids, rarest=rarest_watched(self)
        )

    def numbers(self, draw: int) -> Numbers:
        """Subsets of a draw of the tasks, and the rows on which all are measured."""
        from rare_retention.settings import parity_objective

        drawn = random_subsets(self._count, self.bits, self.subset, self.task_seed, draw)
        asked = asked_rows(self.bits, self.evaluated, self.task_seed)
        return parity_objective.Numbers(drawn, asked.astype(np.float32))
