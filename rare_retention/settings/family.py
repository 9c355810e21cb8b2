"""The contract of a family: which models are trained side by side, and how they are drawn.

Models of equal shape are stacked: a family holds them as one pytree for each size, in which every
array has a leading axis of students. Reading a config asks for names and numbers alone, so JAX is
imported where a model is drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from rare_retention.settings.matrix import Matrix
from rare_retention.settings.student import Params, Student

if TYPE_CHECKING:
    import jax

    from rare_retention.settings.stacks import Stacks

Precision = Literal["float32", "bfloat16"]

WHOLE = "all"
"""Name of the block that holds every weight of a model."""


class Family(ABC):
    """Models of several sizes, each drawn several times; a frozen dataclass.

    Hashable: equal families have equal programs, so a family holds shapes and none of the numbers
    in which runs of one program may differ.

    Attributes:
        initialisations: models of each size, which differ in their initial draw alone.
    """

    initialisations: int

    @property
    @abstractmethod
    def models(self) -> tuple[Student, ...]:
        """One student of each size, from small to large; JAX sorts dicts, so groups sort so too."""

    @abstractmethod
    def draw(self, model: Student, initialisation: "jax.typing.ArrayLike") -> Any:
        """A freshly drawn model, an `nnx.Module`.

        Args:
            model: one of `models`.
            initialisation: number of its draw, a scalar that may be traced.
        """

    @abstractmethod
    def flops(self, rows: int) -> dict[int | str, float]:
        """Floating-point operations of a training step of one model, forward and backward.

        Matrix products alone; a multiplication and an addition count as two.

        Args:
            rows: number of rows of the batch.

        Returns:
            `Student.size` -> operations of one model of that size.
        """

    @property
    @abstractmethod
    def block_labels(self) -> tuple[str, ...]:
        """Parts of the weights on which gradients are compared; the last is `WHOLE`.

        Those that `blocks` and `selections` return, of all sizes.
        """

    def blocks(self, gradient: Any) -> dict[str, Any]:
        """A gradient in the parts on which gradients are compared, each weight in one of them.

        Args:
            gradient: of one group, leaves [R, ...].

        Returns:
            Trees of leaves [R, ...]; their names are among `block_labels`.
        """
        return dict(gradient)

    def selections(self, gradient: Any, reference: Any) -> dict[str, Any]:
        """Further parts to compare on, of weights that `blocks` have too; by default none.

        Args:
            gradient: of one group, leaves [R, ...].
            reference: that of the rarest watched task's reference loss, which may decide what is
                selected.

        Returns:
            As `blocks`.
        """
        del gradient, reference
        return {}

    def matrix(self, name: str, axes: int) -> Matrix | None:
        """How Muon reads a weight of one model; None leaves it to AdamW.

        By default weights of two axes are matrices [inputs, outputs] and all others are none. Word
        embeddings and what is read out by word should be none either, so families override it.

        Args:
            name: of the weight in a group of `init`, dotted, such as "layers.down".
            axes: it has, without that of students.
        """
        del name
        return Matrix() if axes == 2 else None

    @property
    def finest_precision(self) -> Precision:
        """The most precise matmul that makes a difference for the dtype of the models' arrays.

        Kernels refuse to multiply 16-bit numbers as if they were longer.
        """
        return "float32"

    @property
    def students(self) -> tuple[Student, ...]:
        """All models of a run, by size and then by initialisation."""
        return tuple(
            model._replace(initialisation=i)
            for model in self.models
            for i in range(self.initialisations)
        )

    @cached_property
    def _stacks(self) -> "Stacks":
        from rare_retention.settings.stacks import Stacks

        draws = {model.group: partial(self.draw, model) for model in self.models}
        return Stacks(draws, self.initialisations)

    def init(self, draw: "jax.typing.ArrayLike") -> Params:
        """Initial weights of all students.

        Args:
            draw: number of the draw, below `DRAWS`; a scalar that may be traced.
        """
        return self._stacks.init(draw)

    def partition(self) -> Params:
        """Partition over the mesh of every leaf of `init`, a tree of the same structure."""
        return self._stacks.partition()

    def map(
        self, function: Callable[[Any], Any], params: Params, *, one_by_one: bool = False
    ) -> dict[str, Any]:
        """Applies a function of one model to every student.

        Args:
            function: of a model; what it returns is stacked.
            params: weights of all students.
            one_by_one: run the students of a group one after another.

        Returns:
            For each group what the function returned, each leaf [R, ...].
        """
        return self._stacks.map(function, params, one_by_one=one_by_one)
