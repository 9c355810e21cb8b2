"""Compiled programs as text: their loops, and what they send between devices."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_BYTES = {
    **dict.fromkeys(("pred", "s8", "u8"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64", "c64"), 8),
}
_COLLECTIVES = frozenset(
    {"all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter"}
    | {"ragged-all-to-all"}
)
_LINE = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\(")
_END = re.compile(r"\}(, execution_thread=.*)?\s*$")  # metadata of kernels has other such lines
_CALLED = re.compile(
    r"(?:to_apply|calls|called_computations|branch_computations|true_computation"
    r"|false_computation)=\{?%?([\w.\-]+(?:, ?%?[\w.\-]+)*)"
)


class Module(NamedTuple):
    """A program in parts.

    Attributes:
        entry: name of the computation at which it starts.
        computations: name -> its lines.
    """

    entry: str
    computations: dict[str, list[str]]


class Operation(NamedTuple):
    """An operation of a program.

    Attributes:
        name: of the operation, such as "all-reduce".
        shape: of its result, such as "f32[8,64]{1,0}".
        line: all that the text says of it.
        trips: how often it runs: the product of the turns of the loops around it.
    """

    name: str
    shape: str
    line: str
    trips: int


class Collective(NamedTuple):
    """What devices send each other, all operations of one kind, group size and type together.

    Attributes:
        kind: such as "all-reduce".
        group: devices that take part together; 0 where the text does not say.
        dtype: of the numbers sent.
        times: how often in all, loops by their turns.
        bytes: of the results on one device, of a reduce-scatter of what goes in.
    """

    kind: str
    group: int
    dtype: str
    times: int
    bytes: int


def module(text: str) -> Module:
    """The parts of a program.

    Args:
        text: of an HLO module, as XLA dumps it.

    Raises:
        ValueError: there is no entry in it.
    """
    computations: dict[str, list[str]] = {}
    entry, lines = "", None
    for line in text.splitlines():
        if not line.startswith(" ") and line.rstrip().endswith("{") and "HloModule" not in line:
            named = re.match(r"(ENTRY )?%?([\w.\-]+)", line)
            assert named is not None  # what ends in a brace and is no module has a name
            lines = computations.setdefault(named[2], [])
            entry = named[2] if named[1] else entry
        elif _END.match(line):
            lines = None
        elif lines is not None:
            lines.append(line)
    if not entry:
        raise ValueError("no ENTRY in the text of the program")
    return Module(entry, computations)


def turns(program: Module, line: str) -> int | None:
    """How often the loop of a `while` runs; None where that is decided as it runs.

    A counter from 0 on that is compared with a constant is what scans become.
    """
    if told := re.search(r'"known_trip_count":\{"n":"(\d+)"', line):
        return int(told[1])
    named = re.search(r"condition=%?([\w.\-]+)", line)
    condition = program.computations.get(named[1], []) if named else []
    constants = {
        own[1]: int(own[2])
        for own in (
            re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = [su]\d+\[\]\S* constant\((\d+)\)", line)
            for line in condition
        )
        if own
    }
    for line in condition:
        compared = re.search(r" compare\(([^)]*)\), direction=(LT|GT|NE)", line)
        if not compared:
            continue
        sides = re.findall(r"%?([\w.\-]+)(?:,|$)", compared[1])
        if limits := [constants[side] for side in sides if side in constants]:
            return limits[0]
    return None


def operations(program: Module, start: str = "", trips: int = 1) -> Iterator[Operation]:
    """All operations that run, loops by their turns; those whose turns are not known run once.

    Args:
        program: whose operations they are.
        start: the computation to begin with; empty is the entry.
        trips: how often that one runs.
    """
    for line in program.computations.get(start or program.entry, ()):
        read = _LINE.match(line)
        if read is None:
            continue
        _, shape, name = read.groups()
        yield Operation(name, shape, line, trips)
        if name == "while":
            body = re.search(r"body=%?([\w.\-]+)", line)
            if body:
                yield from operations(program, body[1], trips * (turns(program, line) or 1))
        elif name in ("call", "conditional", "async-start"):
            for called in _CALLED.findall(line):
                for one in re.split(r", ?%?", called):
                    yield from operations(program, one, trips)


def step_loop(program: Module) -> str:
    """The computation that is one training step; empty where the program has no such loop.

    It is the loop at the top whose turns are an argument: how many batches of a call are used.
    """
    for line in program.computations[program.entry]:
        read = _LINE.match(line)
        if read and read[3] == "while" and turns(program, line) is None:
            body = re.search(r"body=%?([\w.\-]+)", line)
            return body[1] if body else ""
    return ""


def collectives(found: Iterable[Operation]) -> list[Collective]:
    """What is sent between devices, the most bytes first."""
    totals: dict[tuple[str, int, str], list[int]] = {}
    for own in found:
        kind = own.name.removesuffix("-start")
        if kind not in _COLLECTIVES:
            continue
        group = group_size(own.line)
        factor = group if kind == "reduce-scatter" else 1
        kept = totals.setdefault((kind, group, _dtype(own.shape)), [0, 0])
        kept[0] += own.trips
        kept[1] += own.trips * size(own.shape) * max(factor, 1)
    listed = [Collective(*key, *kept) for key, kept in totals.items()]
    return sorted(listed, key=lambda own: (-own.bytes, own.kind, own.group))


def size(shape: str) -> int:
    """Bytes of a shape as the text has it, of a tuple those of all its parts."""
    return sum(
        _BYTES.get(kind, 4) * math.prod(int(n) for n in sizes.split(",") if n)
        for kind, sizes in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", shape)
    )


def _dtype(shape: str) -> str:
    kinds = re.findall(r"\b([a-z]+\d*)\[", shape)
    return kinds[0] if kinds else "?"


def group_size(line: str) -> int:
    """Devices that take part in a collective together; 0 where the text does not say."""
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
        sizes = {name: int(n) for name, n in re.findall(r"'(\w+)'=(\d+)", mesh[1])}
        return math.prod(sizes.get(name, 1) for name in re.findall(r"'(\w+)'", mesh[2]))
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return listed[1].count(",") + 1
    if tiled := re.search(r"replica_groups=\[(\d+)(?:,(\d+))?\]<=", line):
        return int(tiled[2] or tiled[1])
    if pairs := re.search(r"source_target_pairs=\{(\{.*?\})\}", line):
        return pairs[1].count("{")
    return 0
