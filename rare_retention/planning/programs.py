"""The programs of a run, lowered for devices that need not be here."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rare_retention.experiment import Run
from rare_retention.parallel import make_mesh, sharding
from rare_retention.train.loop import programs
from rare_retention.train.plan import blueprint, own_numbers
from rare_retention.train.state import Arguments

Program = Literal["run", "advance", "measure"]
"""Many plain steps; the same with a measured one at the end; what is measured of a state alone."""


def lowered(run: Run, devices: Sequence[Any], program: Program, length: int) -> Any:
    """A program of a run, ready to be compiled.

    Args:
        run: whose program it is.
        devices: of the mesh, such as those of a topology.
        program: which of them.
        length: batches of a call.

    Raises:
        ConfigError: the mesh does not fit that many devices.
    """
    mesh = make_mesh(run.mesh, devices)
    with jax.threefry_partitionable(True):
        own = programs(blueprint(run), mesh)
        numbers = abstract_numbers(run, mesh)
    with (
        jax.set_mesh(mesh),
        jax.default_matmul_precision(run.matmul_precision),
        jax.threefry_partitionable(True),
    ):
        if program == "measure":
            return own.measure.lower(own.abstract, numbers)
        count = jax.ShapeDtypeStruct((), np.int32, sharding=_everywhere(mesh))
        batches = abstract_batches(run, mesh, length)
        return getattr(own, program).lower(own.abstract, numbers, batches, count)


def abstract_batches(run: Run, mesh: Mesh, length: int) -> Any:
    """Shapes, types and places of a call's batches, leaves [L, B, ...]."""
    layout = sharding(mesh, None, "batch")

    def place(leaf: np.ndarray) -> jax.ShapeDtypeStruct:
        shape = (length, run.batch, *leaf.shape[2:])
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=layout)

    return jax.tree.map(place, one_row(run))


def one_row(run: Run) -> Any:
    """A row of a batch of the run, leaves [1, 1, ...]."""
    return run.setting.batches(run.schedule(), run.seeds.tasks, range(1), slice(0, 1))


def abstract_numbers(run: Run, mesh: Mesh) -> Arguments:
    """Shapes, types and places of the numbers of a run."""
    everywhere = _everywhere(mesh)

    def place(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere)

    own = jax.tree.map(np.asarray, own_numbers(run))
    key = jax.eval_shape(lambda: jax.random.wrap_key_data(own.key, impl="threefry2x32"))
    return jax.tree.map(place, own._replace(key=key))


def _everywhere(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())
