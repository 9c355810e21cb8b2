"""Device mesh, the one table of sharding rules, and what hosts agree on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rare_retention.config import ConfigError, config

RULES: dict[str, str | None] = {
    "batch": "data",
    "student": "student",
    "hidden": None,
    "inputs": None,
    "task": None,
    "direction": None,
}
"""Logical axis of an array -> axis of the mesh; None is replicated."""


@config
class MeshShape:
    """Shape of the device mesh; at most one axis may be -1, "all the devices that are left".

    Explicit sizes may leave devices unused: a mesh of 1 x 1 trains on one of them.

    Attributes:
        student: devices over which the students of equal shape are spread.
        data: devices over which the rows of a batch are spread.
    """

    student: int = 1
    data: int = -1

    def sizes(self, devices: int) -> tuple[int, int]:
        """(student, data) sizes on that many devices.

        Raises:
            ConfigError: the axes do not multiply to the number of devices.
        """
        for name in ("student", "data"):
            if getattr(self, name) < 1 and getattr(self, name) != -1:
                raise ConfigError(name, f"expected -1 or at least 1, got {getattr(self, name)}")
        if self.student == self.data == -1:
            raise ConfigError("data", "only one axis may be -1; set the other one")
        known = max(self.student, 1) * max(self.data, 1)
        exact = -1 not in (self.student, self.data)
        if known > devices or (not exact and devices % known):
            name = "student" if self.student != 1 else "data"
            raise ConfigError(
                name,
                f"a mesh of {self.student} x {self.data} does not fit {devices} devices; "
                "use factors of that number, or -1 for the rest",
            )
        rest = devices // known
        return (
            rest if self.student == -1 else self.student,
            rest if self.data == -1 else self.data,
        )


@contextmanager
def logical_names() -> Iterator[None]:
    """While entered, NNX parameters may be annotated with the names in `RULES`.

    Their values are not laid out one by one as they are drawn; the run lays out its whole state.
    """
    with nnx.use_eager_sharding(False), nnx.logical_axis_rules(tuple(RULES.items())):
        yield


def make_mesh(shape: MeshShape, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh with the axes `student` and `data` over the given (default: all) devices."""
    devices = jax.devices() if devices is None else devices
    student, data = shape.sizes(len(devices))
    if jax.process_count() > 1 and student * data < len(devices):
        raise ConfigError(
            "data", f"a mesh of {student} x {data} leaves hosts without work; use -1 for the rest"
        )
    grid = np.asarray(devices[: student * data]).reshape(student, data)
    return Mesh(grid, ("student", "data"), axis_types=(AxisType.Auto, AxisType.Auto))


def spec(*logical: str | None) -> PartitionSpec:
    """Partition of an array whose dimensions have these logical names (None: replicated)."""
    return PartitionSpec(*(RULES[name] if name else None for name in logical))


def sharding(mesh: Mesh, *logical: str | None) -> NamedSharding:
    """Sharding on `mesh` of an array whose dimensions have these logical names."""
    return NamedSharding(mesh, spec(*logical))


def constrain(x: jax.Array, *logical: str | None) -> jax.Array:
    """Lays `x` out over the mesh in force (`jax.set_mesh`); does nothing where there is none."""
    if jax.sharding.get_abstract_mesh().empty:
        return x
    return jax.lax.with_sharding_constraint(x, spec(*logical))


def shards(logical: str) -> int:
    """Number of pieces into which the mesh in force cuts that logical axis."""
    mesh = jax.sharding.get_abstract_mesh()
    axis = RULES[logical]
    return 1 if mesh.empty or axis is None else mesh.shape[axis]


def is_primary() -> bool:
    """Whether this process writes what is written once: metrics, manifests, reports."""
    return jax.process_index() == 0


def any_host(flag: bool) -> bool:
    """Whether the flag is set on any host; all hosts must ask at the same place."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())
