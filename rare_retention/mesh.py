"""Shape of the device mesh."""

import math

from rare_retention.config import ConfigError, config

AXES = ("student", "data", "fsdp", "model")
"""Axes of the mesh; neighbours on the last ones are nearest to each other."""


@config
class MeshShape:
    """Shape of the device mesh; at most one axis may be -1, "all the devices that are left".

    Explicit sizes may leave devices unused: a mesh of ones trains on one of them.

    Attributes:
        student: devices over which the students of equal shape are spread.
        data: devices over which the rows of a batch are spread.
        fsdp: devices over which rows and, with them, the weights of a transformer are spread.
        model: devices over which the heads, the SwiGLU and the vocabulary are spread.
    """

    student: int = 1
    data: int = -1
    fsdp: int = 1
    model: int = 1

    @property
    def asked(self) -> dict[str, int]:
        """Size of each axis as it is declared, in the order of `AXES`."""
        return {name: int(getattr(self, name)) for name in AXES}

    def sizes(self, devices: int) -> dict[str, int]:
        """Size of each axis, in the order of `AXES`, on that many devices.

        Raises:
            ConfigError: the axes do not multiply to the number of devices.
        """
        asked = self.asked
        for name, size in asked.items():
            if size < 1 and size != -1:
                raise ConfigError(name, f"expected -1 or at least 1, got {size}")
        rest = [name for name, size in asked.items() if size == -1]
        if len(rest) > 1:
            raise ConfigError(rest[-1], "only one axis may be -1; set the other one")
        known = math.prod(size for size in asked.values() if size != -1)
        if known > devices or (rest and devices % known):
            name = next((name for name, size in asked.items() if size > 1), "data")
            raise ConfigError(
                name,
                f"a mesh of {' x '.join(map(str, asked.values()))} does not fit {devices} devices; "
                "use factors of that number, or -1 for the rest",
            )
        return {name: devices // known if size == -1 else size for name, size in asked.items()}
