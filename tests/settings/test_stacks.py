import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import collectives
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from rare_retention.mesh import MeshShape
from rare_retention.parallel import make_mesh, spec
from rare_retention.settings.stacks import Stacks
from rare_retention.settings.student import DRAWS


class Line(nnx.Module):
    """a x, its weights named for the mesh."""

    def __init__(self, size, rngs):
        draw = jax.random.normal(rngs.params(), (size, 3))
        self.weight = nnx.Param(draw, out_sharding=("embed", "heads"))

    def __call__(self):
        return self.weight[...].sum()


def stacks(initialisations):
    def draws(size):
        return lambda i: Line(size, nnx.Rngs(jax.random.fold_in(jax.random.key(size), i)))

    return Stacks({"b": draws(4), "a": draws(2)}, initialisations)


@pytest.mark.parametrize("draw", [0, 5, DRAWS - 1])
@pytest.mark.parametrize("initialisations", [1, 3])
def test_a_stack_holds_each_draw(initialisations, draw):
    """Group by group in the order of names; draw r of the run has the numbers from 2^16 r on."""
    params = jax.jit(stacks(initialisations).init)(draw)
    assert list(params) == ["a", "b"]
    for name, size in (("a", 2), ("b", 4)):
        weight = params[name]["weight"]
        assert weight.shape == (initialisations, size, 3)
        for i in range(initialisations):
            key = jax.random.fold_in(jax.random.key(size), np.uint32(2**16 * draw + i))
            own = jax.random.normal(nnx.Rngs(key).params(), (size, 3))
            np.testing.assert_array_equal(weight[i], own)


@pytest.mark.parametrize("initialisations", [1, 3])
def test_a_function_sees_one_model_at_a_time(initialisations):
    own = stacks(initialisations)
    params = own.init(0)
    found = own.map(
        lambda model: {"sum": model(), "ndim": jnp.int32(model.weight[...].ndim)}, params
    )
    for name, stack in params.items():
        np.testing.assert_allclose(found[name]["sum"], stack["weight"].sum((1, 2)), rtol=1e-5)
        np.testing.assert_array_equal(found[name]["ndim"], [2] * initialisations)


def test_partition_is_that_of_the_models_behind_the_students():
    expected = PartitionSpec("student", "fsdp", "model")
    assert stacks(2).partition() == {name: {"weight": expected} for name in ("a", "b")}


def test_no_student_is_gathered_where_others_stand():
    """Two students on as many groups of devices, in a function that each device runs for itself."""
    mesh = make_mesh(MeshShape(student=2))
    rows = spec("batch")

    def apart(model):
        each = jnp.arange(8.0) * model()
        return jax.shard_map(jnp.exp, in_specs=rows, out_specs=rows, check_vma=False)(each)

    own = stacks(2)
    with jax.set_mesh(mesh):
        layout = jax.tree.map(lambda place: NamedSharding(mesh, place), own.partition())
        params = jax.device_put(own.init(0), layout)
        program = jax.jit(lambda params: own.map(apart, params)).lower(params).compile()
        found = program(params)
    assert collectives(program.as_text()) == []
    for name, stack in params.items():
        wanted = np.exp(np.arange(8.0) * np.asarray(stack["weight"]).sum((1, 2))[:, None])
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5)
