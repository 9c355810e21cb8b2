"""Collectives of a compiled program, read from its HLO text, loops counted by their turns."""

import math
import re
from typing import NamedTuple

from rare_retention.planning import hlo

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "u16": 2, "s64": 8, "u64": 8, "f64": 8}


class Collective(NamedTuple):
    """One instruction.

    Attributes:
        kind: one of `KINDS`.
        shapes: type and dimensions of each result on one device.
        times: how often a call of the program runs it.
        loops: how many loops it stands in.
        source: where it comes from, a path of JAX's names.
    """

    kind: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    times: int
    loops: int
    source: str

    @property
    def bytes(self) -> int:
        """Of the results of all its runs."""
        each = (BYTES.get(dtype, 4) * math.prod(size) for dtype, size in self.shapes)
        return self.times * sum(each)


def collectives(text):
    """All collectives that a call of a program runs, from the text of its module."""
    program, found = hlo.module(text), []

    def walk(name, times, loops):
        for line in program.computations.get(name, ()):
            head = re.match(r"\s+(?:ROOT )?%?[\w.\-]+ = (.*?) ([\w\-]+)\(", line)
            if head is None:
                continue
            result, operation = head.groups()
            kind = operation.removesuffix("-start")
            if kind in KINDS:
                source = re.search(r'op_name="([^"]*)"', line)
                shapes = tuple(
                    (dtype, tuple(int(size) for size in sizes.split(",") if size))
                    for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", result)
                )
                found.append(Collective(kind, shapes, times, loops, source[1] if source else ""))
            elif operation == "while":
                body = re.search(r"body=%?([\w.\-]+)", line)[1]
                walk(body, times * (hlo.turns(program, line) or 1), loops + 1)
            else:
                for names in re.findall(r"(?:calls|to_apply|computations)=\{?([^}\s]+)", line):
                    for called in re.findall(r"[\w.\-]+", names):
                        walk(called, times, loops)

    walk(program.entry, 1, 0)
    return found
