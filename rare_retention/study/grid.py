"""A study: a grid of runs, declared in one file, and the units of work that it is made of."""

import hashlib
import itertools
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from rare_retention.config import ConfigError, Natural, config, override
from rare_retention.errors import below
from rare_retention.evidence import states
from rare_retention.experiment import Run
from rare_retention.study import branch as branching
from rare_retention.study.axes import Axis, check_axis, check_sizes, overlap
from rare_retention.study.branch import TRUNK, Branch, Change

_LONGEST = 200  # bytes of a unit's name; file systems take 255
_PLAIN = "=,+"  # kept in names, beside letters, digits and _.-~; brackets would be patterns


@config
class Study:
    """A grid of runs over streams and fields, and what is to be drawn and judged from it.

    Attributes:
        name: title of the study.
        question: what it asks; a config file passes its docstring.
        run: what all runs share.
        grid: fields that vary; runs take every combination of their values.
        streams: number of streams; the runs of a combination have one stream each.
        first_stream: number of the first of them. From another one on nothing that is drawn is the
            same: for a pilot, or to repeat a study.
        apart: train every size as a unit of its own, on the same batches: with its own folder, mesh
            and memory, on one machine after another or on several at once.
        branches: continuations of every run from its own states; the results get a dimension
            `branch`, whose first place is "trunk", the runs of the grid.
        drop_states: delete a whole state when all branches that go on from it have finished.
        figures: names of figures in the report (`report.figures`).
        claims: names of claims to judge (`study.claims`).
    """

    name: str
    question: str = ""
    run: Run = Run()
    grid: tuple[Axis, ...] = ()
    streams: Annotated[int, Field(ge=1)] = 1
    first_stream: Natural = 0
    apart: bool = False
    branches: tuple[Branch, ...] = ()
    drop_states: bool = False
    figures: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        branching.check(self.branches, self.places)
        taken = {*states.OWN, "width", "parameters", "finished", "branch"}
        names = Counter(axis.name for axis in self.grid if not self.is_of_sizes(axis))
        fields = Counter(field for axis in self.grid for field in axis.fields)
        for i, axis in enumerate(self.grid):
            check_axis(f"grid[{i}]", axis)
            for j, field in enumerate(axis.fields):
                where = f"grid[{i}].also[{j - 1}].field" if j else f"grid[{i}].field"
                if fields[field] > 1:
                    raise ConfigError(where, f"{field} is set twice by the grid")
                if field == "stream" or field.startswith("stream."):
                    raise ConfigError(where, "streams are numbered by the study; set `streams`")
            if self.is_of_sizes(axis):
                check_sizes(f"grid[{i}]", axis)
            elif names[axis.name] > 1 or axis.name in taken:
                raise ConfigError(
                    f"grid[{i}].field",
                    f"dimension {axis.name!r} is taken; name another as grid[{i}].dimension",
                )

    def is_of_sizes(self, axis: Axis) -> bool:
        """Whether an axis is one over the sizes of the models."""
        return axis.field == f"setting.{self.run.setting.size_field}"

    @property
    def places(self) -> tuple[str, ...]:
        """Fields of the run that say where it stands in the results."""
        sizes = f"setting.{self.run.setting.size_field}"
        return (*(field for axis in self.grid for field in axis.fields), sizes)

    @property
    def dimensions(self) -> dict[str, list[Any]]:
        """Places of the runs in the results but their sizes: dimension -> its coordinates."""
        axes = {axis.name: axis.labels for axis in self.grid if not self.is_of_sizes(axis)}
        names = [TRUNK, *(branch.name for branch in self.branches)]
        branch = {"branch": names} if self.branches else {}
        return {"stream": list(self.numbers), **axes, **branch}

    @property
    def numbers(self) -> range:
        """Numbers of the streams."""
        return range(self.first_stream, self.first_stream + self.streams)


class Unit(NamedTuple):
    """A unit of work of a study: one run, of all sizes or of some.

    Attributes:
        name: of its folder, such as "stream=0,gap=64" or "stream=0,gap=64,size=tiny-16".
        coordinates: its place in the results but its sizes, dimension -> coordinate.
        run: what is trained.
        parent: name of the unit that it goes on from; empty where there is none.
        changes: what a branch does otherwise than its parent.
    """

    name: str
    coordinates: dict[str, Any]
    run: Run
    parent: str = ""
    changes: tuple[Change, ...] = ()


def units(study: Study) -> list[Unit]:
    """All units of a study, stream by stream.

    Raises:
        ConfigError: a value of the grid does not fit its field, or two units have one name.
    """
    found = list(_units(study))
    name, count = Counter(unit.name for unit in found).most_common(1)[0]
    if count > 1:
        raise ConfigError("grid", f"{count} runs have the name {name}; expected different values")
    return found


def unit_named(study: Study, name: str) -> Unit:
    """The unit of that name.

    Raises:
        ConfigError: there is none.
    """
    known = {unit.name: unit for unit in units(study)}
    if name not in known:
        some = ", ".join(itertools.islice(known, 3))
        raise ConfigError("", f"--unit={name}: no such unit; --units lists them all ({some}, ...)")
    return known[name]


def _units(study: Study) -> Iterator[Unit]:
    """The runs of the grid, each followed by its branches."""
    for unit in _trunk(study):
        if study.branches:
            yield from _with_branches(study, unit)
        else:
            yield unit


def _with_branches(study: Study, trunk: Unit) -> Iterator[Unit]:
    """A run of the grid, which keeps the states that are wanted, and its branches.

    Raises:
        ConfigError: a branch wants a state that its run has not, or changes what cannot be.
    """
    trunk = trunk._replace(coordinates=trunk.coordinates | {"branch": TRUNK})
    grown, wanted = {TRUNK: trunk}, {TRUNK: set(trunk.run.snapshots.states)}
    of = {branch.name: branch.of for branch in study.branches}

    def shown(name: str) -> list[int]:
        before = shown(of[name]) if name in of else []
        return branching.exposures(grown[name].run, before)

    for i, branch in enumerate(study.branches):
        unit = grown[branch.of]
        with below(f"branches[{i}]"):
            exposures = [] if branch.after_exposure is None else shown(branch.of)
            step = branching.start(branch, unit.run, exposures)
            run = branching.going_on(branch, unit.run, step)
            branching.check_turn(branch, run, study.places)
        wanted[branch.of].add(step)
        wanted[branch.name] = set()
        grown[branch.name] = Unit(
            _whole_name(f"{trunk.name},branch={_quoted(branch.name)}"),
            trunk.coordinates | {"branch": branch.name},
            run,
            unit.name,
            branch.changes,
        )
    for name, unit in grown.items():
        states = {"snapshots.states": tuple(sorted(wanted[name]))}
        yield unit._replace(run=override(unit.run, states))


def _trunk(study: Study) -> Iterator[Unit]:
    for stream in study.numbers:
        for places in itertools.product(*(range(len(axis.values)) for axis in study.grid)):
            changes: dict[str, Any] = {"stream": stream}
            place: dict[str, Any] = {"stream": stream}
            sizes = ""
            for axis, index in zip(study.grid, places, strict=True):
                changes |= axis.changes(index)
                if study.is_of_sizes(axis):
                    sizes = _text(axis.values[index])
                else:
                    place[axis.name] = axis.labels[index]
            run = override(study.run, changes)
            if not study.apart:
                yield Unit(_name(study, places, stream, sizes), place, run)
                continue
            for size, alone in _apart(run):
                yield Unit(_name(study, places, stream, _text(size)), place, alone)


def _apart(run: Run) -> Iterator[tuple[Any, Run]]:
    """Each size of a run, and the run of this size alone."""
    field, factors = run.setting.size_field, run.optimizer.relative
    sizes: tuple[int | str, ...] = run.setting.size_names
    if factors:  # which are given from small to large
        sizes = tuple(dict.fromkeys(student.size for student in run.setting.family.students))
    for i, size in enumerate(sizes):
        changes: dict[str, Any] = {f"setting.{field}": (size,)}
        if factors:
            changes["optimizer.relative"] = factors[i : i + 1]
        yield size, override(run, changes)


def _name(study: Study, places: tuple[int, ...], stream: int, sizes: str) -> str:
    """A unit's name, which every file system takes as that of a folder."""
    parts = [f"stream={stream}"]
    for axis, index in zip(study.grid, places, strict=True):
        if not study.is_of_sizes(axis):
            called = axis.named or axis.values
            parts.append(f"{axis.name}={_text(called[index])}")
    if sizes:
        parts.append(f"size={sizes}")
    return _whole_name(_quoted(",".join(parts)))


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe=_PLAIN)


def _whole_name(name: str) -> str:
    """A name, with a digest in place of what is too much of it."""
    if len(name) > _LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        name = f"{name[: _LONGEST - 13]}~{digest}"
    return name


def check_shapes(study: Study) -> None:
    """Checks that the results of all units can be joined.

    Apart from `units`, since it asks the settings, which may have to open a corpus: results are
    read without one.

    Raises:
        ConfigError: runs differ in tasks or students.
    """
    grouped = study.apart or any(map(study.is_of_sizes, study.grid))
    shapes = {_shape(unit.run, grouped) for unit in units(study)}
    if len(shapes) > 1:
        varied = ", ".join(field for axis in study.grid for field in axis.fields)
        raise ConfigError(
            "grid", f"{varied}: runs differ in tasks or students; make a study of each"
        )


def _shape(run: Run, grouped: bool) -> tuple[Any, ...]:
    """What runs must share; the sizes of their models too unless these are trained in groups."""
    with below("run"):
        constants = run.setting.constants().items()
        shapes = tuple((name, np.shape(values)) for name, (_, values) in constants)
        students = run.setting.family.students
        draws = tuple(sorted({student.initialisation for student in students}))
        return shapes, run.setting.watch_ids, draws if grouped else tuple(students)


def check_flags(study: Study, changed: Iterable[str]) -> None:
    """Refuses flags on fields that the grid sets: they would be ignored.

    Args:
        study: with the flags applied.
        changed: dotted paths of the fields that flags have set, such as "run.exposure.gap".

    Raises:
        ConfigError: naming the axis, and how to change it.
    """
    for path in changed:
        for i, axis in enumerate(study.grid):
            for j, field in enumerate(axis.fields):
                if overlap(path, f"run.{field}"):
                    where = f"grid[{i}].also[{j - 1}]" if j else f"grid[{i}]"
                    given = axis.also[j - 1].values if j else axis.values
                    raise ConfigError(
                        path,
                        f"the study's grid sets {field} to {', '.join(map(str, given))}, whatever "
                        f"this flag says; change the axis, as in --config.{where}.values=VALUE",
                    )


def _text(value: Any) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    return "_".join(str(part) for part in parts)
