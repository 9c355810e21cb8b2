"""Students: the models of a run one by one, and the stacks in which they are trained."""

from typing import Any, NamedTuple

Params = dict[str, Any]
"""One pytree for each group of students of equal shape; every leaf has a leading student axis."""

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
    initialisation: int = 0

    @property
    def label(self) -> str:
        """What it is called in messages, on the board and in manifests, such as "width_00008_1"."""
        return f"{self.group}_{self.initialisation}"


def group(kind: str, number: int) -> str:
    """Name of a group of students by a number of theirs: padded, names sort by number in JAX."""
    return f"{kind}_{number:05d}"
