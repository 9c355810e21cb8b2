"""What XLA's TPU compiler says of the memory of a program, as numbers."""

import re
from typing import NamedTuple

_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Buffer(NamedTuple):
    """A piece of memory, which values use one after another.

    Attributes:
        bytes: how large it is.
        shapes: of the values that use it.
    """

    bytes: int
    shapes: str


class Memory(NamedTuple):
    """Memory of one device that a program takes.

    Attributes:
        bytes: in all, arguments and outputs among them.
        largest: the largest buffers, largest first.
    """

    bytes: int
    largest: tuple[Buffer, ...]


class Exceeded(NamedTuple):
    """A program that does not fit.

    Attributes:
        bytes: that it would take.
        capacity: that a device has for it.
        largest: the largest buffers, largest first; none where the message has none.
    """

    bytes: int
    capacity: int
    largest: tuple[Buffer, ...]


def report(text: str, most: int = 6) -> Memory | None:
    """The memory of a device, from a memory usage report; None while it is not written to its end.

    Args:
        text: of the file that XLA dumps when it has assigned buffers.
        most: buffers that are listed.
    """
    head, colour, rest = text.partition("Memory Space: default")
    if head or not colour or "Memory Space:" not in rest:
        return None  # other spaces follow that of the device's main memory
    own = rest.partition("Memory Space:")[0]
    total = re.search(r"Total bytes: (\d+)", own)
    if total is None:
        return None
    rows = re.findall(r"\);\s+([\d.]+)([KMGT]?)i?B;[^;]*;[^;]*; ([^\n]*)", own)
    found = [Buffer(_bytes(number, unit), shapes.strip()) for number, unit, shapes in rows]
    found.sort(key=lambda own: -own.bytes)
    return Memory(int(total[1]), tuple(found[:most]))


def exceeded(message: str, most: int = 6) -> Exceeded | None:
    """What the compiler says of a program that does not fit; None where it says something else.

    Args:
        message: of its error.
        most: buffers that are listed.
    """
    used = re.search(r"[Uu]sed ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) \w+", message)
    if used is None:
        used = re.search(
            r"\(([\d.]+)([KMGT]?)\) exceeds available \w+ \(([\d.]+)([KMGT]?)\)", message
        )
    if used is None:
        return None
    rows = re.findall(r"Size: ([\d.]+)([KMGT]?)\s+(?:Operator:.*?\s+)?Shape: (\S+)", message)
    largest = tuple(Buffer(_bytes(number, unit), shape) for number, unit, shape in rows[:most])
    return Exceeded(_bytes(used[1], used[2]), _bytes(used[3], used[4]), largest)


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * _UNITS[unit])
