"""A study: a grid of runs, declared in one file."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rare_retention.config import ConfigError, config, override
from rare_retention.errors import below
from rare_retention.evidence import states
from rare_retention.experiment import Run

Value = int | float | str | tuple[int, ...] | tuple[float, ...]


@config
class Axis:
    """One field of the run that the study varies.

    Attributes:
        field: dotted path below the run, such as "exposure.gap".
        values: what it takes; its last name becomes a dimension of the results.
    """

    field: str
    values: tuple[Value, ...]

    @property
    def name(self) -> str:
        """Dimension of the results."""
        return self.field.rsplit(".", 1)[-1]


@config
class Study:
    """A grid of runs over streams and fields, and what is to be drawn and judged from it.

    Attributes:
        name: title of the study.
        question: what it asks; a config file passes its docstring.
        run: what all runs share.
        grid: fields that vary; runs take every combination of their values.
        streams: number of streams; run i of a combination has stream i.
        figures: names of figures in the report (`report.figures`).
        claims: names of claims to judge (`study.claims`).
    """

    name: str
    question: str = ""
    run: Run = Run()
    grid: tuple[Axis, ...] = ()
    streams: int = 1
    figures: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.streams < 1:
            raise ConfigError("streams", f"expected at least 1, got {self.streams}")
        names = [axis.name for axis in self.grid]
        taken = {*states.OWN, "width", "parameters"}
        for i, axis in enumerate(self.grid):
            if not axis.values:
                raise ConfigError(f"grid[{i}].values", "expected at least one value, got none")
            if len(set(axis.values)) < len(axis.values):
                raise ConfigError(f"grid[{i}].values", f"{axis.values} repeats a value")
            if names.count(axis.name) > 1 or axis.name in taken:
                raise ConfigError(f"grid[{i}].field", f"dimension {axis.name!r} is taken")


class Cell(NamedTuple):
    """One run of a study.

    Attributes:
        name: of its folder, such as "stream=0,gap=64".
        coordinates: its place in the results, dimension -> value.
        run: what is trained.
    """

    name: str
    coordinates: dict[str, Any]
    run: Run


def cells(study: Study) -> Iterator[Cell]:
    """All runs of a study, stream by stream.

    Raises:
        ConfigError: a value of the grid does not fit its field.
    """
    for stream in range(study.streams):
        for values in itertools.product(*(axis.values for axis in study.grid)):
            changes = dict(zip((axis.field for axis in study.grid), values, strict=True))
            run = override(
                study.run, {"stream": str(stream)} | {f: str(v) for f, v in changes.items()}
            )
            place = {"stream": stream} | dict(
                zip((axis.name for axis in study.grid), values, strict=True)
            )
            name = ",".join(f"{key}={_text(value)}" for key, value in place.items())
            yield Cell(name, place, run)


def check_shapes(study: Study) -> None:
    """Checks that the results of all runs can be joined.

    Apart from `cells`, since it asks the settings, which may have to open a corpus: results are
    read without one.

    Raises:
        ConfigError: runs differ in tasks or students.
    """
    shape = _shape(study.run)
    if any(_shape(cell.run) != shape for cell in cells(study)):
        varied = ", ".join(axis.field for axis in study.grid)
        raise ConfigError(
            "grid", f"{varied}: runs differ in tasks or students; make a study of each"
        )


def _shape(run: Run) -> tuple[Any, ...]:
    with below("run"):
        sizes = [(name, np.shape(values)) for name, (_, values) in run.setting.constants().items()]
        return sizes, run.setting.students, run.setting.watch_ids


def _text(value: Value) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    return "_".join(str(part) for part in parts)
