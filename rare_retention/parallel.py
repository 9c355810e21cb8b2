"""Device mesh, the one table of sharding rules, and what hosts agree on."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rare_retention.config import ConfigError, config

RULES: dict[str, str | tuple[str, ...] | None] = {
    "batch": ("data", "fsdp"),
    "student": "student",
    # bottleneck and gated students
    "hidden": None,
    "inputs": None,
    "task": None,
    "direction": None,
    # transformers
    "layers": None,
    "embed": "fsdp",
    "heads": "model",
    "mlp": "model",
    "vocab": "model",
}
"""Logical axis of an array -> axis or axes of the mesh; None is replicated."""

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

    def sizes(self, devices: int) -> dict[str, int]:
        """Size of each axis, in the order of `AXES`, on that many devices.

        Raises:
            ConfigError: the axes do not multiply to the number of devices.
        """
        asked = {name: int(getattr(self, name)) for name in AXES}
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


@contextmanager
def logical_names() -> Iterator[None]:
    """While entered, NNX parameters may be annotated with the names in `RULES`.

    Their values are not laid out one by one as they are drawn; the run lays out its whole state.
    """
    with nnx.use_eager_sharding(False), nnx.logical_axis_rules(tuple(RULES.items())):
        yield


def make_mesh(shape: MeshShape, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh with the axes `AXES` over the given (default: all) devices."""
    devices = jax.devices() if devices is None else devices
    sizes = tuple(shape.sizes(len(devices)).values())
    used = math.prod(sizes)
    if jax.process_count() > 1 and used < len(devices):
        raise ConfigError(
            "data",
            f"a mesh of {' x '.join(map(str, sizes))} leaves hosts without work; "
            "use -1 for the rest",
        )
    grid = np.asarray(devices[:used]).reshape(sizes)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


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
    axes = RULES[logical]
    if mesh.empty or axes is None:
        return 1
    return math.prod(mesh.shape[axis] for axis in ((axes,) if isinstance(axes, str) else axes))


def platform() -> str:
    """Platform of the devices of the mesh in force, or of the default ones where there is none.

    They differ where a program is compiled for a TPU on a machine that has none.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else str(device.platform)


def is_primary() -> bool:
    """Whether this process writes what is written once: metrics, manifests, reports."""
    return jax.process_index() == 0


def any_host(flag: bool) -> bool:
    """Whether the flag is set on any host; all hosts must ask at the same place."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())
