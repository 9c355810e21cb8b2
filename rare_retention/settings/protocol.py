"""The protocols between the loop and a setting: all that training knows of models and tasks.

A `Setting` is the config: tasks, frequencies, batches. Its `Traced` part is what JAX compiles: the
models, their losses and measurements. It holds what decides a program, such as shapes, and none of
the numbers in which runs may differ and still share it: these are arguments of its methods, so that
a program cannot use those of another run.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from rare_retention.config import ConfigError
from rare_retention.data.exposure import Schedule, Wording
from rare_retention.evidence.gradients import names

if TYPE_CHECKING:
    import jax

Precision = Literal["float32", "bfloat16"]

Params = dict[str, Any]
"""One pytree for each group of students of equal shape; every leaf has a leading student axis."""

Batch = Any
"""One array, or a tree of them, whose first axis are rows."""

Array = Any
"""A NumPy array, inside a compiled program a traced one."""

Numbers = Any
"""A NamedTuple of arrays: what `Setting.numbers` returns, an argument of compiled programs."""

DRAWS = 2**16
"""Most streams, and most initialisations of a model: a pair of them is one number of 32 bits."""


class Student(NamedTuple):
    """One model of a run.

    Attributes:
        group: the stack it is trained in; students of a group have equal shapes.
        size: what the config calls its size: a width, or a name such as "4M".
        width: hidden units of a bottleneck, neurons, or the hidden dimension of a transformer.
        parameters: number of its weights.
        initialisation: number of its initial draw; equal numbers and sizes start equal.
    """

    group: str
    size: int | str
    width: int
    parameters: int
    initialisation: int


class Measure(NamedTuple):
    """What a measured value or a constant is.

    Attributes:
        dims: its dimensions; of a measured value those after the student and the step.
        unit: such as "nats".
        meaning: in a few words.
    """

    dims: tuple[str, ...]
    unit: str
    meaning: str


class Setting(Protocol):
    """A family of models and a mixture of tasks; a frozen config."""

    size_field: ClassVar[str]
    """Name of the field that lists the sizes of the models."""

    @property
    def size_names(self) -> tuple[int, ...] | tuple[str, ...]:
        """What that field holds: labels of the sizes, in the order in which they are declared."""
        ...

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the K tasks; of a mixture's, most frequent first."""
        ...

    @property
    def frequencies(self) -> np.ndarray:
        """Share of each task among the slots of the stream, pi [K], float64."""
        ...

    @property
    def wording(self) -> Wording:
        """Fields of the setting that a message about its schedule names."""
        ...

    @property
    def loss_unit(self) -> str:
        """Unit of every loss, such as "nats"."""
        ...

    @property
    def inputs(self) -> int:
        """Dimension of the input, D; what a random student of width N captures is N / D.

        0 where inputs are no vectors.
        """
        ...

    @property
    def row_tokens(self) -> int:
        """Tokens, or observations, in a row of the batch."""
        ...

    @property
    def slots(self) -> int:
        """Places of a row among which the schedule shares out the tasks; 1 where a row is one."""
        ...

    @property
    def draws_inputs(self) -> bool:
        """Whether `losses` draws the inputs of all rows at once, from its key."""
        ...

    @property
    def draws_tasks(self) -> bool:
        """Whether another draw of the tasks has other tasks."""
        ...

    def recipe(self) -> dict[str, Any]:
        """All of the setting that decides what is learned, as plain JSON values."""
        ...

    def constants(self) -> dict[str, tuple[Measure, np.ndarray]]:
        """What does not change in training: name -> what it is and float64 values.

        "frequency" is among them; theory needs the others.
        """
        ...

    @property
    def watch_ids(self) -> tuple[int, ...]:
        """Tasks whose interference is followed, as ids in [0, K)."""
        ...

    @property
    def students(self) -> tuple[Student, ...]:
        """All models of a run, in the order of the stacked groups: from small to large."""
        ...

    @property
    def measures(self) -> dict[str, Measure]:
        """Name of each value that `probe` returns, and what it is."""
        ...

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Names along dimensions of the results that have names, but for sizes and tasks.

        Always "block", the last of them "all", and the names of compared gradients as "vector".
        """
        ...

    @property
    def traced(self) -> "Traced":
        """The models and all that is computed of them; settings with equal ones share programs."""
        ...

    def numbers(self, draw: int) -> Numbers:
        """What the traced methods need of frequencies, tasks and texts, as NumPy arrays.

        Args:
            draw: number of the draw of the tasks.
        """
        ...

    def flops(self, batch: int) -> dict[int | str, float]:
        """Floating-point operations of the matrix products of a training step of one model.

        Args:
            batch: rows of the batch.

        Returns:
            Size, as students have it -> operations of one model of it.
        """
        ...

    def batches(self, schedule: Schedule, draw: int, steps: range, rows: slice) -> Batch:
        """Rows of the global batches of some steps, a function of the arguments alone.

        Args:
            schedule: which tasks stand in them.
            draw: number of the draw of the tasks.
            steps: consecutive ones; batch t is the one after t updates.
            rows: those wanted, of all rows of each global batch.

        Returns:
            NumPy arrays [len(steps), rows, ...].
        """
        ...


class Traced(Protocol):
    """The models of a setting, and what is computed of them inside compiled programs.

    Hashable; equal ones make equal programs. Methods that return values of students return them for
    each group, with a leading axis of its R students.
    """

    @property
    def watch_ids(self) -> tuple[int, ...]:
        """Tasks whose interference is followed, as ids in [0, K)."""
        ...

    @property
    def rarest(self) -> int:
        """The rarest of them, see `rarest_watched`."""
        ...

    @property
    def block_labels(self) -> tuple[str, ...]:
        """Parts of the weights on which gradients are compared, `Setting.labels["block"]`."""
        ...

    @property
    def finest_precision(self) -> Precision:
        """The most precise matmul that makes a difference for the dtype of its arrays.

        Kernels refuse to multiply 16-bit numbers as if they were longer.
        """
        ...

    def init(self, draw: "jax.typing.ArrayLike") -> Params:
        """Initial weights of all students.

        Args:
            draw: number of the draw, below `DRAWS`; a scalar that may be traced.
        """
        ...

    def partition(self) -> Params:
        """Partition over the mesh of every leaf of `init`, a tree of the same structure."""
        ...

    def shares(self, batch: Batch) -> "jax.Array":
        """Share of each task in the terms of a batch's loss, [K]."""
        ...

    def losses(
        self, params: Params, batch: Batch, key: "jax.Array", numbers: Numbers
    ) -> "dict[str, jax.Array]":
        """Contribution of each task to the loss of a batch.

        Args:
            params: weights of the R students of each group.
            batch: one of those that `Setting.batches` makes.
            key: the step's key, from which inputs are drawn where the rows have none.
            numbers: of the setting.

        Returns:
            For each group [R, K]; the sum over tasks is the training loss, a mean over the rows.
        """
        ...

    def watched_losses(
        self, params: Params, batch: Batch, key: "jax.Array", numbers: Numbers
    ) -> "dict[str, jax.Array]":
        """Contributions of the watched tasks alone, [R, len(watch)] for each group.

        The same numbers as in `losses`, by the cheapest way that gives the same gradients.
        """
        ...

    def blocks(self, gradient: Any) -> dict[str, Any]:
        """A gradient in the parts on which gradients are compared, each weight in one of them.

        Args:
            gradient: of one group, leaves [R, ...].

        Returns:
            Trees of leaves [R, ...]; their names are among `block_labels`.
        """
        ...

    def selections(self, gradient: Any, reference: Any) -> dict[str, Any]:
        """Further parts to compare on, of weights that `blocks` have too.

        Args:
            gradient: of one group, leaves [R, ...].
            reference: that of the rarest watched task's reference loss, which may decide what is
                selected.

        Returns:
            As `blocks`.
        """
        ...

    def reference(self, params: Params, numbers: Numbers) -> "dict[str, jax.Array]":
        """Loss of each watched task, [R, len(watch)] for each group, whatever the batch holds."""
        ...

    def probe(self, params: Params, numbers: Numbers) -> "dict[str, dict[str, jax.Array]]":
        """Measured values, for each group: name -> [R, ...], as listed in `Setting.measures`."""
        ...


def gradient_labels(blocks: Iterable[str], tasks: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Labels of the Gram matrices.

    Args:
        blocks: that a setting tells apart.
        tasks: names of the watched ones.
    """
    vectors = names(tuple(tasks))
    return {"block": (*blocks, "all"), "vector": vectors, "other": vectors}


def rarest_watched(setting: Setting) -> int:
    """Id of the rarest watched task; of equally rare ones the last."""
    return min(setting.watch_ids, key=lambda k: (setting.frequencies[k], -k))


def watched(watch: tuple[int, ...], tasks: int) -> tuple[int, ...]:
    """Ids in [0, K) of tasks given by ids of either sign, -1 being the last and rarest.

    Raises:
        ConfigError: an id is out of range or repeated, or there is none.
    """
    if not watch:
        raise ConfigError("watch", "expected at least one task, got none")
    for i, k in enumerate(watch):
        if not -tasks <= k < tasks:
            allowed = f"{-tasks} to {tasks - 1}"
            raise ConfigError(f"watch[{i}]", f"expected a task from {allowed}, got {k}")
    ids = tuple(k % tasks for k in watch)
    if len(set(ids)) < len(ids):
        raise ConfigError("watch", f"expected different tasks, got {watch}")
    return ids
