"""Whole numbers and tasks as arguments: checked, and Python's own, since NumPy's would overflow."""

import math
import operator

from rare_retention.errors import ConfigError


def task_id(field: str, task: int, tasks: int) -> int:
    """Index of a task from 0, where a negative one counts from the end."""
    return whole(field, task, least=-tasks, most=tasks - 1) % tasks


def whole(field: str, value: int, least: int = 0, most: float = math.inf) -> int:
    """A whole number in [least, most]; a Python integer, since NumPy's would overflow."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigError(field, f"{value!r}; expected a whole number") from None
    if not least <= number <= most:
        bounds = f"{least} or more" if most == math.inf else f"{least} to {most}"
        raise ConfigError(field, f"{number}; expected {bounds}")
    return number
