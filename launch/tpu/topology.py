"""What a TPU topology such as v5e:4x4 is: chips, hosts, and its names in Google's interfaces.

Every number comes from one table of families, which the interfaces to Cloud TPU, Compute Engine,
GKE and SkyPilot share.
"""

import difflib
import math
from dataclasses import dataclass

from rare_retention.errors import UserError

_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_SMALL_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8")
_CUBES = (*_SMALL_CUBES, "8x8x8", "8x8x16", "8x16x16")
_IMAGE = "ubuntu-accel-2204-amd64-tpu-v5e-v5p-v6e"


@dataclass(frozen=True)
class Family:
    """A generation of TPUs.

    Attributes:
        accelerator: first part of its accelerator types, such as v5litepod.
        cores: what the number of an accelerator type counts for each chip.
        machine: first part of its machine types.
        gke: value of GKE's label for the accelerator of a node.
        shapes: slices that it comes in.
        runtime: runtime version of Cloud TPU's interface; empty where that does not serve it.
        image: family of images of Compute Engine; empty where instance groups do not serve it.
        zones: some that had it when this was written, for messages only.
    """

    accelerator: str
    cores: int
    machine: str
    gke: str
    shapes: tuple[str, ...]
    runtime: str
    image: str
    zones: tuple[str, ...]


FAMILIES = {
    "v4": Family(
        *("v4", 2, "ct4p-hightpu", "tpu-v4-podslice", _CUBES),
        *("tpu-ubuntu2204-base", "", ("us-central2-b",)),
    ),
    "v5e": Family(
        *("v5litepod", 1, "ct5lp-hightpu", "tpu-v5-lite-podslice", _FLAT),
        *("v2-alpha-tpuv5-lite", "", ("us-central1-a", "us-south1-a", "us-west1-c", "us-west4-a")),
    ),
    "v5p": Family(
        *("v5p", 2, "ct5p-hightpu", "tpu-v5p-slice", _CUBES),
        *("v2-alpha-tpuv5", _IMAGE, ("us-central1-a", "us-east5-a")),
    ),
    "v6e": Family(
        *("v6e", 1, "ct6e-standard", "tpu-v6e-slice", _FLAT),
        *("v2-alpha-tpuv6e", _IMAGE),
        ("us-central1-b", "us-east1-d", "us-east5-a", "us-east5-b", "europe-west4-a"),
    ),
    "tpu7x": Family(
        *("tpu7x", 2, "tpu7x-standard", "tpu7x", _CUBES),
        *("", "ubuntu-accel-2404-amd64-tpu-tpu7x", ("us-central1-c",)),
    ),
}
"""By the names that `jax.experimental.topologies` uses too."""


@dataclass(frozen=True)
class Topology:
    """One slice.

    Attributes:
        family: name of its generation, such as v5e.
        shape: chips along each axis, such as 4x4.
    """

    family: str
    shape: str

    @property
    def about(self) -> Family:
        """What its generation has in common."""
        return FAMILIES[self.family]

    @property
    def chips(self) -> int:
        """Chips of the slice."""
        return math.prod(map(int, self.shape.split("x")))

    @property
    def chips_per_host(self) -> int:
        """Chips that one virtual machine has: 4, or all of a flat slice of at most 8."""
        return 4 if self.chips > 8 or self.shape.count("x") == 2 else self.chips

    @property
    def hosts(self) -> int:
        """Virtual machines of the slice."""
        return self.chips // self.chips_per_host

    @property
    def accelerator_type(self) -> str:
        """Its name in Cloud TPU's interface, such as v5litepod-16."""
        return f"{self.about.accelerator}-{self.chips * self.about.cores}"

    @property
    def machine_type(self) -> str:
        """Machine type of its hosts, such as ct5lp-hightpu-4t."""
        return f"{self.about.machine}-{self.chips_per_host}t"

    def __str__(self) -> str:
        return f"{self.family}:{self.shape}"


def parse(text: str) -> Topology:
    """Reads a topology as FAMILY:SHAPE, such as v5e:4x4.

    Raises:
        UserError: there is no such family, or it does not come in that shape.
    """
    family, colon, shape = text.partition(":")
    if family in FAMILIES and shape in FAMILIES[family].shapes:
        return Topology(family, shape)
    if family in FAMILIES and colon:
        shapes = ", ".join(FAMILIES[family].shapes)
        raise UserError(f"--topology={text}: {family} comes as {shapes}")
    known = [Topology(name, one) for name, about in FAMILIES.items() for one in about.shapes]
    same = [str(one) for one in known if text in (one.accelerator_type, str(one).replace(":", "-"))]
    near = same or difflib.get_close_matches(text, map(str, known), 1)
    hint = f"did you mean {near[0]}?" if near else f"FAMILY is one of {', '.join(FAMILIES)}"
    raise UserError(f"--topology={text}: expected FAMILY:SHAPE, as v5e:4x4; {hint}")
