"""Axes of a study's grid: fields of the run that vary, and what they are called in the results."""

from collections import Counter
from typing import Any

from rare_retention.config import ConfigError, config

Value = bool | int | float | str | None | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
"""What a field may take."""


@config
class Also:
    """A further field that changes with an axis.

    Attributes:
        field: dotted path below the run, such as "optimizer.horizon".
        values: one for each value of the axis.
    """

    field: str
    values: tuple[Value, ...]


@config
class Axis:
    """A field of the run that the study varies, and others that change with it.

    An axis over the setting's sizes (`setting.widths`, `setting.sizes`, `setting.neurons`) trains
    groups of sizes apart, so that each may have its own learning rate, mesh or batch; its values
    are tuples of sizes, and the runs join along `size` in the results.

    Attributes:
        field: dotted path below the run, such as "exposure.gap".
        values: what it takes.
        also: fields that change along with it, such as the horizon of the learning rate with the
            number of steps.
        dimension: of the results; by default the last name of the field.
        named: what the places are called in the results and in folders, such as "sgd, clipped";
            by default as the values. With names a value may come again, as long as other fields
            tell the places apart.
    """

    field: str
    values: tuple[Value, ...]
    also: tuple[Also, ...] = ()
    dimension: str = ""
    named: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Dimension of the results."""
        return self.dimension or self.field.rsplit(".", 1)[-1]

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields that it sets."""
        return (self.field, *(other.field for other in self.also))

    def changes(self, index: int) -> dict[str, Value]:
        """What its fields are at its `index`-th place."""
        others = {other.field: other.values[index] for other in self.also}
        return {self.field: self.values[index]} | others

    @property
    def labels(self) -> list[Any]:
        """Coordinates in the results: numbers, booleans and texts as they are, all else as text."""
        if self.named:
            return list(self.named)
        return [label(value, self.values) for value in self.values]


def label(value: Value, among: tuple[Value, ...]) -> Any:
    """Coordinate of a value in the results: as it is where all are numbers, or all booleans.

    Args:
        value: one of `among`.
        among: all values of the axis.
    """
    booleans = [isinstance(other, bool) for other in among]
    numbers = [isinstance(other, int | float) for other in among]
    plain = all(booleans) or (all(numbers) and not any(booleans))
    return value if plain else str(value)


def overlap(a: str, b: str) -> bool:
    """Whether two dotted paths are equal or one is inside the other."""
    short, long = sorted((a, b), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def check_axis(where: str, axis: Axis) -> None:
    """Checks that an axis has values, of each of its fields as many, and places that differ.

    Args:
        where: path of the axis.
        axis: which.

    Raises:
        ConfigError: naming a field of it.
    """
    if not axis.values:
        raise ConfigError(f"{where}.values", "expected at least one value, got none")
    if axis.named:
        _check_names(where, axis)
    elif len(set(map(repr, axis.values))) < len(axis.values):
        raise ConfigError(
            f"{where}.values",
            f"{axis.values} repeats a value; where `also` tells them apart, name them in `named`",
        )
    for j, other in enumerate(axis.also):
        if len(other.values) != len(axis.values):
            raise ConfigError(
                f"{where}.also[{j}].values",
                f"expected {len(axis.values)} values, one for each of {axis.field}, got "
                f"{len(other.values)}",
            )
    if axis.named:
        _check_places(where, axis)


def _check_names(where: str, axis: Axis) -> None:
    """Names of the places of an axis differ, and so do the places."""
    if len(axis.named) != len(axis.values):
        raise ConfigError(
            f"{where}.named",
            f"expected {len(axis.values)} names, one for each of {axis.field}, got "
            f"{len(axis.named)}",
        )
    if len(set(axis.named)) < len(axis.named):
        raise ConfigError(f"{where}.named", f"{axis.named} repeats a name")


def _check_places(where: str, axis: Axis) -> None:
    """Refuses two names for one thing, which would count its runs twice."""
    places: dict[str, int] = {}
    for i in range(len(axis.values)):
        before = places.setdefault(repr(axis.changes(i)), i)
        if before < i:
            raise ConfigError(
                f"{where}.named",
                f"{axis.named[before]!r} and {axis.named[i]!r} set the same; expected fields that "
                "differ",
            )


def check_sizes(where: str, axis: Axis) -> None:
    """Checks that values of an axis over sizes are groups of sizes, and no size is in two of them.

    Args:
        where: path of the axis.
        axis: which.

    Raises:
        ConfigError: naming a field of it.
    """
    if axis.named:
        raise ConfigError(f"{where}.named", "sizes have names of their own; expected none")
    groups = [value for value in axis.values if isinstance(value, tuple)]
    if len(groups) < len(axis.values):
        raise ConfigError(
            f"{where}.values", f"expected tuples of sizes, such as (8,), got {axis.values}"
        )
    sizes = Counter(size for group in groups for size in group)
    size, count = sizes.most_common(1)[0]
    if count > 1:
        raise ConfigError(
            f"{where}.values", f"{size!r} stands in {count} of them; expected each size once"
        )
