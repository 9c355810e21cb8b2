"""Meshes on eight fake devices, and the table of rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from rare_retention import parallel
from rare_retention.errors import UserError
from rare_retention.mesh import MeshShape
from rare_retention.parallel import make_mesh


def test_weights_can_be_spread_too():
    """Over `fsdp`, with the rows, and over `model`, the nearest neighbours."""
    sizes = MeshShape(data=-1, fsdp=2, model=2).sizes(8)
    assert sizes == {"student": 1, "data": 2, "fsdp": 2, "model": 2}
    assert MeshShape(data=1, fsdp=-1).sizes(8)["fsdp"] == 8
    mesh = make_mesh(MeshShape(data=-1, fsdp=2, model=2))
    layout = parallel.sharding(mesh, "mlp", "embed")
    assert layout.shard_shape((8, 8)) == (4, 4)
    with jax.set_mesh(mesh):
        assert [parallel.shards(name) for name in ("batch", "embed", "heads")] == [4, 2, 2]


def test_meshes_have_automatic_axes():
    """All devices by default, each once; a part of them on request."""
    mesh = make_mesh(MeshShape(student=2))
    assert dict(mesh.shape) == {"student": 2, "data": 4, "fsdp": 1, "model": 1}
    assert mesh.axis_types == (AxisType.Auto,) * 4
    assert sorted(d.id for d in mesh.devices.flat) == list(range(8))
    assert make_mesh(MeshShape(), jax.devices()[:1]).size == 1
    part = make_mesh(MeshShape(student=2, data=3))
    assert [d.id for d in part.devices.flat] == list(range(6))


def test_names_become_axes_of_the_mesh():
    """Batches over `data` and `fsdp`, students over `student`, their weights replicated."""
    assert parallel.spec("batch", None) == PartitionSpec(("data", "fsdp"), None)
    assert parallel.spec("student", "hidden", "inputs") == PartitionSpec("student", None, None)
    mesh = make_mesh(MeshShape(student=2))
    x = jax.device_put(np.zeros((4, 8)), parallel.sharding(mesh, "student", "batch"))
    assert x.addressable_shards[0].data.shape == (2, 2)
    with pytest.raises(KeyError):
        parallel.spec("rows")


def test_constraints_hold_on_the_mesh_in_force_and_nowhere_else():
    """The same code runs on one device without a mesh."""
    x = jnp.zeros((8, 3))
    assert parallel.constrain(x, "batch", None) is x
    assert [parallel.shards(name) for name in ("batch", "student", "task")] == [1, 1, 1]
    with jax.set_mesh(make_mesh(MeshShape(student=2))):
        assert [parallel.shards(name) for name in ("batch", "student", "task")] == [4, 2, 1]
        y = jax.jit(lambda a: parallel.constrain(2 * a, "batch", None))(x)
    assert y.addressable_shards[0].data.shape == (2, 3)


@pytest.mark.parametrize("flag", [True, False])
def test_a_single_host_is_the_primary_and_agrees_with_itself(flag):
    """Nothing to wait for."""
    assert parallel.is_primary()
    assert parallel.any_host(flag) is flag


def test_what_the_first_host_answers_is_told_to_all(monkeypatch):
    """Also that it has failed: the others wait for its answer."""
    assert parallel.from_primary(lambda: -2) == -2
    told = []

    def broadcast(own):
        told.append(own)
        return told[0]

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(parallel.multihost_utils, "broadcast_one_to_all", broadcast)
    assert parallel.from_primary(lambda: 7) == 7
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    assert parallel.from_primary(lambda: 9) == 7  # it is not asked
    told.clear()
    monkeypatch.setattr(jax, "process_index", lambda: 0)
    with pytest.raises(ZeroDivisionError):
        parallel.from_primary(lambda: 1 // 0)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(UserError, match="the first host cannot go on"):
        parallel.from_primary(lambda: 9)
