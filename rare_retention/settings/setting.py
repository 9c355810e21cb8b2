"""A setting: a mixture of tasks, a family of models, and the objective that joins them.

It is a frozen config. The mixture's half is read without JAX; the family and the objective are what
JAX compiles, and hold what decides a program, such as shapes, and none of the numbers in which runs
may differ and still share it.
"""

from typing import Any, ClassVar, Protocol

from rare_retention.evidence.gradients import names
from rare_retention.registry import Registry
from rare_retention.settings.family import Family
from rare_retention.settings.mixture import Mixture
from rare_retention.settings.objective import Numbers, Objective

SETTINGS = Registry("setting")


class Setting(Mixture, Protocol):
    """A mixture with the models that learn it; a frozen config, added under `@SETTINGS.add`."""

    @property
    def kind(self) -> str:
        """Tag in a config tree."""
        ...

    size_field: ClassVar[str]
    """Name of the field that lists the sizes of the models."""

    @property
    def size_names(self) -> tuple[int, ...] | tuple[str, ...]:
        """What that field holds: labels of the sizes, in the order in which they are declared."""
        ...

    def recipe(self) -> dict[str, Any]:
        """All of the setting that decides what is learned, as plain JSON values."""
        ...

    @property
    def family(self) -> Family:
        """The models."""
        ...

    @property
    def objective(self) -> Objective:
        """What they are trained on and asked; the first that needs JAX."""
        ...

    def numbers(self, draw: int) -> Numbers:
        """What the objective needs of frequencies, tasks and texts, as NumPy arrays.

        Args:
            draw: number of the draw of the tasks.
        """
        ...


def labels(setting: Setting) -> dict[str, tuple[str, ...]]:
    """Names along dimensions of the results that have names, but for sizes and tasks.

    Those of Gram matrices of gradients are "block", of weights, and "vector" and "other", of the
    gradients.
    """
    vectors = names(tuple(setting.task_names[k] for k in setting.watch_ids))
    return {
        "block": setting.family.block_labels,
        "vector": vectors,
        "other": vectors,
        **setting.objective.labels,
    }
