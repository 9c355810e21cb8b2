"""Device mesh, the one table of sharding rules, and what hosts agree on."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jax
import numpy as np
from flax import nnx
from jax.experimental import mesh_utils, multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rare_retention.config import ConfigError
from rare_retention.errors import UserError
from rare_retention.mesh import AXES, MeshShape

RULES: dict[str, str | tuple[str, ...] | None] = {
    "batch": ("data", "fsdp"),
    "student": "student",
    # students of the synthetic settings
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


@contextmanager
def logical_names() -> Iterator[None]:
    """While entered, NNX parameters may be annotated with the names in `RULES`.

    Their values are not laid out one by one as they are drawn; the run lays out its whole state.
    """
    with nnx.use_eager_sharding(False), nnx.logical_axis_rules(tuple(RULES.items())):
        yield


def make_mesh(shape: MeshShape, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh with the axes `AXES` over the given (default: all) devices.

    On whole slices of TPUs neighbours in the mesh are neighbours in space as far as that can be,
    and of several slices the first axes that can be cut so go from one to the next.
    """
    devices = jax.devices() if devices is None else devices
    sizes = tuple(shape.sizes(len(devices)).values())
    used = math.prod(sizes)
    if jax.process_count() > 1 and used < len(devices):
        raise ConfigError(
            "data",
            f"a mesh of {' x '.join(map(str, sizes))} leaves hosts without work; "
            "use -1 for the rest",
        )
    grid = _in_space(sizes, devices) if used == len(devices) else None
    if grid is None:
        grid = np.asarray(devices[:used]).reshape(sizes)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _in_space(sizes: tuple[int, ...], devices: Sequence[jax.Device]) -> np.ndarray | None:
    """TPUs in a grid of these sizes in which neighbours are near; None where JAX knows no such one.

    JAX knows none of the TPUs that are two devices a chip, nor of parts of slices.
    """
    if devices[0].platform != "tpu":
        return None
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    outer = _outer(sizes, slices)
    try:
        if slices == 1:
            return mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
        if outer is None:
            return None
        inner = [size // cut for size, cut in zip(sizes, outer, strict=True)]
        return mesh_utils.create_hybrid_device_mesh(
            inner, outer, devices, allow_split_physical_axes=True
        )
    except (AssertionError, NotImplementedError, ValueError):
        return None


def _outer(sizes: Sequence[int], slices: int) -> list[int] | None:
    """Slices along each axis of a mesh, most along the first; None: the sizes do not allow it."""
    found = []
    for size in sizes:
        found.append(math.gcd(size, slices))
        slices //= found[-1]
    return found if slices == 1 else None


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


def slowest(flag: bool, seconds: float | None) -> tuple[bool, float | None]:
    """Whether the flag is set on any host, and the largest number of all; asked as `any_host`.

    Args:
        flag: of this host.
        seconds: of this host; None, where a host has none, is the result.
    """
    if jax.process_count() == 1:
        return flag, seconds
    own = np.array([flag, np.inf if seconds is None else seconds], np.float32)
    flags, times = np.asarray(multihost_utils.process_allgather(own)).T
    longest = float(times.max())
    return bool(flags.any()), longest if np.isfinite(longest) else None


def from_primary(ask: Callable[[], int]) -> int:
    """What the first host answers, on all hosts; all of them must ask at the same place.

    Args:
        ask: called on the first host alone; an integer of 32 bits.

    Raises:
        UserError: it raised something on the first host, which raises that itself.
    """
    if jax.process_count() == 1:
        return ask()
    answer, failure = 0, None
    if is_primary():
        try:
            answer = ask()
        except Exception as error:  # whatever it is, the other hosts must hear of it
            failure = error
    told = multihost_utils.broadcast_one_to_all(np.array([failure is not None, answer], np.int32))
    if told[0]:
        raise failure or UserError("the first host cannot go on; see its message")
    return int(told[1])
