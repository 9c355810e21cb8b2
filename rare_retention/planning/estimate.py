"""Memory of a training step by arithmetic, where no compiler can be asked: GPUs.

What a step holds is its state, gradients, what the backward pass needs of the forward one, which is
traced and counted, and working memory, for which three of the largest arrays are taken. Compilers
fuse and reuse, so this is a guide and no promise.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import AbstractDevice, AbstractMesh, AxisType, NamedSharding

from rare_retention.config import override
from rare_retention.experiment import Run
from rare_retention.mesh import AXES
from rare_retention.planning.memory import Buffer, Memory
from rare_retention.planning.programs import one_row
from rare_retention.planning.topology import Topology
from rare_retention.settings.language import Language
from rare_retention.settings.setting import Setting
from rare_retention.settings.traced import traced_of
from rare_retention.train.plan import blueprint, own_numbers
from rare_retention.train.state import State, abstract, shardings

_WORKING = 3  # arrays of the size of the largest that are taken to live at once


def memory(run: Run, topology: Topology) -> Memory:
    """Bytes of a device that a training step of the run takes, as far as arithmetic goes.

    Args:
        run: whose mesh, `accumulate` and `remat` decide.
        topology: the devices.
    """
    state, weights = state_bytes(run, topology)
    gradients = weights * (2 if run.accumulate > 1 else 1)
    # Rows are spread over both axes alike, so that one trace stands for all ways to share them out.
    sizes = run.mesh.sizes(topology.devices)
    rows = {"mesh.data": sizes["data"] * sizes["fsdp"], "mesh.fsdp": 1}
    kept, largest = _activations(override(run, rows), topology)
    parts = {
        "state": state,
        "gradients": gradients,
        "kept for the backward pass": kept,
        "working memory": _WORKING * largest,
    }
    listed = [Buffer(size, name) for name, size in parts.items()]
    return Memory(sum(parts.values()), tuple(sorted(listed, key=lambda own: -own.bytes)))


def abstract_mesh(run: Run, topology: Topology) -> AbstractMesh:
    """The run's mesh over devices that need not be here."""
    sizes = tuple(run.mesh.sizes(topology.devices).values())
    device = AbstractDevice(topology.kind, None, topology.chip.platform)
    kinds = (AxisType.Auto,) * len(AXES)
    return AbstractMesh(sizes, AXES, axis_types=kinds, abstract_device=device)


def state_bytes(run: Run, topology: Topology) -> tuple[int, int]:
    """Bytes on one device of the training state, and of the weights in it."""
    plain = {"accumulate": 1, "measure.gradients": False}  # neither makes a state larger
    return _state_bytes(override(run, plain), topology)


@functools.lru_cache(maxsize=64)
def _state_bytes(run: Run, topology: Topology) -> tuple[int, int]:
    own: Any = blueprint(run)
    state = abstract(own)
    mesh: Any = abstract_mesh(run, topology)  # as good as a real one where nothing is placed
    layout = shardings(own, mesh)

    def local(leaf: Any, place: NamedSharding) -> int:
        return math.prod(place.shard_shape(leaf.shape)) * leaf.dtype.itemsize

    whole: State = jax.tree.map(local, state, layout)
    return sum(jax.tree.leaves(whole)), sum(jax.tree.leaves(whole.params))


@functools.lru_cache(maxsize=64)
def _activations(run: Run, topology: Topology) -> tuple[int, int]:
    """Bytes on one device that are kept between both passes, and of the largest array."""
    mesh = abstract_mesh(run, topology)
    setting = _portable(run.setting)
    traced, numbers = traced_of(setting), own_numbers(run)
    key = jax.eval_shape(lambda: jax.random.wrap_key_data(numbers.key, impl="threefry2x32"))
    rows = run.batch // run.accumulate
    batch = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[2:]), leaf.dtype), one_row(run)
    )
    params = jax.eval_shape(traced.family.init, np.uint32(0))

    def both(params: Any, batch: Any, key: Any, asked: Any) -> Any:
        def loss(params: Any) -> Any:
            return traced.losses(params, batch, key, asked)

        return jax.vjp(loss, params)[1]

    with jax.sharding.use_abstract_mesh(mesh), jax.threefry_partitionable(True):
        whole = jax.make_jaxpr(both)(params, batch, key, numbers.numbers).jaxpr
    given = {id(variable) for variable in whole.invars}
    kept = {id(v): _size(v) for v in whole.outvars if not hasattr(v, "val") and id(v) not in given}
    pieces = math.prod(mesh.shape[axis] for axis in ("student", "data", "fsdp"))
    return sum(kept.values()) // pieces, _largest(whole) // pieces


def _portable(setting: Setting) -> Setting:
    """The setting with attention that keeps what fused kernels keep, and traces anywhere."""
    if not isinstance(setting, Language):
        return setting
    return dataclasses.replace(
        setting, compute=dataclasses.replace(setting.compute, attention="blocked")
    )


def _largest(jaxpr: Jaxpr) -> int:
    """Bytes of the largest array that is computed but for what loops collect over their turns."""
    found = 0
    for equation in jaxpr.eqns:
        inner = [
            own.jaxpr if isinstance(own, ClosedJaxpr) else own
            for given in equation.params.values()
            for own in (given if isinstance(given, tuple | list) else (given,))
            if isinstance(own, ClosedJaxpr | Jaxpr)
        ]
        if inner:
            found = max(found, *map(_largest, inner))
        else:
            found = max([found, *map(_size, equation.outvars)])
    return found


def _size(variable: Any) -> int:
    aval = variable.aval
    kind = getattr(aval, "dtype", None)
    return math.prod(aval.shape) * getattr(kind, "itemsize", 0) if hasattr(aval, "shape") else 0
