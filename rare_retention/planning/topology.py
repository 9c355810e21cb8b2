"""Slices and GPUs that can be booked: how much memory they have, and how fast they are at best.

Peaks, memory and links are what the makers say of a chip; the memory that a program may use on a
TPU is what its compiler says.
"""

import difflib
import math
import re
from typing import Literal, NamedTuple

from rare_retention.errors import UserError

GIB = 2**30

Platform = Literal["tpu", "gpu", "cpu"]


class Chip(NamedTuple):
    """A kind of accelerator.

    Attributes:
        platform: JAX's name of its platform.
        peak: bfloat16 operations a second of one chip; 0 where none is stated.
        memory: bytes of one JAX device that a program may use; 0 where it is the machine's.
        devices: JAX devices of one chip.
        host: chips of one host.
        clock: cycles a second, 0 where none is stated.
        link: bytes a second that one chip sends and receives over links to its neighbours.
        cores: TensorCores of a chip where the names of slices count them, else 1.
        shapes: of slices, as their names write them; none where any number will do.
    """

    platform: Platform
    peak: float
    memory: int
    devices: int = 1
    host: int = 4
    clock: float = 0.0
    link: float = 0.0
    cores: int = 1
    shapes: tuple[str, ...] = ()


_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")

# JAX takes three quarters of a GPU's memory unless XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise.
_OF_GPU = 0.75

CHIPS = {
    "v4": Chip("tpu", 275e12, int(30.75 * GIB), clock=1.05e9, link=3e11, cores=2, shapes=_CUBES),
    "v5e": Chip("tpu", 197e12, int(15.75 * GIB), clock=1.5e9, link=2e11, shapes=_FLAT),
    "v5p": Chip("tpu", 459e12, int(95.74 * GIB), clock=1.75e9, link=6e11, cores=2, shapes=_CUBES),
    "v6e": Chip("tpu", 918e12, int(31.25 * GIB), clock=1.75e9, link=4e11, shapes=_FLAT),
    "tpu7x": Chip("tpu", 2307e12, int(94.74 * GIB), 2, clock=2.2e9, link=1.2e12, shapes=_CUBES),
    "h100": Chip("gpu", 989e12, int(_OF_GPU * 79.6 * GIB), host=8, link=9e11),
    "h200": Chip("gpu", 989e12, int(_OF_GPU * 140.4 * GIB), host=8, link=9e11),
    "cpu": Chip("cpu", 0.0, 0, host=2**30),
}
"""By the name before the colon."""

_TYPES = {"v4": "v4", "v5e": "v5litepod", "v5p": "v5p", "v6e": "v6e"}
"""Names of Cloud TPU's accelerator types, but for the number behind them."""


class Topology(NamedTuple):
    """What is booked: one or several slices of equal shape, or a number of GPUs.

    Attributes:
        kind: of its chips, a name in `CHIPS`.
        shape: chips along each axis of one slice, or their number.
        slices: how many of them.
    """

    kind: str
    shape: str
    slices: int = 1

    @property
    def chip(self) -> Chip:
        """Its kind of accelerator."""
        return CHIPS[self.kind]

    @property
    def name(self) -> str:
        """As `parse` reads it; several slices are told behind it."""
        return f"{self.kind}:{self.shape}" + (f" x {self.slices}" if self.slices > 1 else "")

    @property
    def chips(self) -> int:
        """In all slices."""
        return math.prod(map(int, self.shape.split("x"))) * self.slices

    @property
    def devices(self) -> int:
        """JAX devices in all slices."""
        return self.chips * self.chip.devices

    @property
    def hosts(self) -> int:
        """Hosts in all slices, each with its own process."""
        return self.slices * -(-self.chips // self.slices // self.chip.host)

    @property
    def accelerator(self) -> str:
        """Cloud TPU's accelerator type of one slice; empty where it has none."""
        if self.kind not in _TYPES:
            return ""
        return f"{_TYPES[self.kind]}-{self.chips // self.slices * self.chip.cores}"

    @property
    def peak(self) -> float:
        """Operations a second of all chips."""
        return self.chip.peak * self.chips


def known() -> tuple[str, ...]:
    """Names of single slices and examples of what has any number."""
    slices = (f"{kind}:{shape}" for kind, chip in CHIPS.items() for shape in chip.shapes)
    return (*slices, "h100:8", "h200:8", "cpu:8")


def parse(name: str, slices: int = 1) -> Topology:
    """The topology of that name, such as "v5e:4x4", "h100:8" or "cpu:8".

    Args:
        name: kind of chip, and after a colon the shape of a slice or a number.
        slices: how many of them.

    Raises:
        UserError: there is none of that name; the message has the nearest.
    """
    kind, _, shape = name.lower().partition(":")
    chip = CHIPS.get(kind)
    if chip is None or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape):
        raise UserError(f"--topology={name}: not known; {_hint(name)}")
    if slices < 1:
        raise UserError(f"--slices={slices}: expected at least 1")
    if not chip.shapes:
        if "x" in shape:
            raise UserError(f"--topology={name}: {kind} has no shape; expected a number, {kind}:8")
        if slices > 1:
            raise UserError(f"--slices={slices}: {kind} has none; expected more of {kind}:{shape}")
    elif shape not in chip.shapes:
        asked = math.prod(map(int, shape.split("x")))
        sizes = {own: math.prod(map(int, own.split("x"))) for own in chip.shapes}
        nearest = min(sizes, key=lambda own: abs(math.log(sizes[own] / asked)))
        raise UserError(
            f"--topology={name}: no slice of {kind} has that shape; nearest: {kind}:{nearest}, "
            f"known: {', '.join(chip.shapes)}"
        )
    return Topology(kind, shape, slices)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), known(), 1, cutoff=0.0)
    kinds = ", ".join(CHIPS)
    return f"did you mean {near[0]}? kinds are {kinds}, as in v5e:4x4, v5p:4x4x4, h100:8 or cpu:8"
