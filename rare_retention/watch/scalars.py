"""Which numbers of a measured state a tracker gets, and what they are called."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rare_retention.record.manifest import Manifest
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import Student

MOST = 16
"""Most tasks whose curves are drawn one by one; of more, the watched ones and those at the ends."""

_ENDS = 4  # tasks at either end of a longer list


def scalars(about: Manifest, values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The numbers of a measured state by name, task and size, such as "accuracy/addition/4M".

    Left out are values that have no single number for a task or a named place, such as Gram
    matrices, and those of a task of which there were none, which are NaN.

    Args:
        about: what the run says of itself: students, tasks, quantities.
        values: measured, name -> [S, ...] of S students.

    Returns:
        Name -> number. A second and later initialisation of a size is called "4M #1", "4M #2".
    """
    students = students_named(about.students)
    found: dict[str, float] = {}
    for name, array in values.items():
        quantity = about.quantities.get(name)
        if quantity is None or len(quantity.dims) > 1:
            continue
        rows = np.asarray(array, np.float64).reshape(len(students), -1)
        for place, label in _places(about, quantity, rows.shape[1]):
            for student, own in zip(students, rows[:, place], strict=True):
                if np.isfinite(own) or not quantity.dims:
                    found["/".join(filter(None, (name, label, student)))] = float(own)
    return found


def students_named(students: Sequence[Student]) -> list[str]:
    """Name of each student: its size, and the number of its initialisation beyond the first."""
    return [
        f"{own.size} #{own.initialisation}" if own.initialisation else str(own.size)
        for own in students
    ]


def _places(about: Manifest, quantity: Quantity, count: int) -> Iterator[tuple[int, str]]:
    """Places along the dimension of a quantity that are drawn, and their names."""
    if not quantity.dims:
        yield 0, ""
        return
    dim = quantity.dims[0]
    if dim == "task":
        for task in tasks_drawn(len(about.tasks), about.watch):
            yield task, about.tasks[task]
    elif dim == "watch":
        yield from enumerate(about.tasks[task] for task in about.watch)
    elif dim in about.labels and count <= MOST:
        yield from enumerate(about.labels[dim])


def tasks_drawn(tasks: int, watch: Sequence[int]) -> list[int]:
    """Ids of the tasks whose curves are drawn: all, or the watched ones and those at the ends."""
    if tasks <= MOST:
        return list(range(tasks))
    return sorted({*range(_ENDS), *watch, *range(tasks - _ENDS, tasks)})
