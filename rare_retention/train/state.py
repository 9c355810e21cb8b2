"""State of a run: everything that one step turns into the next, as a plain pytree."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rare_retention.optimizer import Optimizer
from rare_retention.parallel import RULES
from rare_retention.settings.protocol import Array, Numbers, Params, Traced
from rare_retention.train.updates import transformation


class State(NamedTuple):
    """Training state of all students of a run.

    Attributes:
        step: number of updates applied, int32.
        params: weights, a stack for each group of students.
        optimizer: Optax state of each group, with a leading student axis as well.
        change: first-order change of the watched losses by the updates since the last measurement,
            [R, len(watch)] for each group.
    """

    step: jax.Array
    params: Params
    optimizer: dict[str, Any]
    change: dict[str, jax.Array]


class Arguments(NamedTuple):
    """The numbers in which runs may differ and share their programs; never changed by a step.

    Attributes:
        key: of the stream's inputs; step t draws them from fold_in(key, t).
        draw: number of the draw of the initial weights, uint32.
        rates: peak learning rate of each group of students, float32.
        numbers: of the setting, `Setting.numbers`.
    """

    key: Array
    draw: Array
    rates: dict[str, Array]
    numbers: Numbers


def create(traced: Traced, optimizer: Optimizer, draw: jax.typing.ArrayLike) -> State:
    """State before the first step.

    Args:
        traced: the models.
        optimizer: of each student; its rates play no part yet.
        draw: number of the draw of the initial weights.
    """
    params = traced.init(draw)
    transform = transformation(optimizer.form, 1.0)
    moments = {name: jax.vmap(transform.init)(stack) for name, stack in params.items()}
    watch = len(traced.watch_ids)
    change = {
        name: jnp.zeros((jax.tree.leaves(stack)[0].shape[0], watch))
        for name, stack in params.items()
    }
    return State(jnp.zeros((), jnp.int32), params, moments, change)


def abstract(traced: Traced, optimizer: Optimizer) -> State:
    """Shapes and types of the state; nothing is allocated."""
    return jax.eval_shape(lambda: create(traced, optimizer, np.uint32(0)))


def shardings(traced: Traced, optimizer: Optimizer, mesh: Mesh) -> State:
    """Sharding of every leaf of the state; moments are laid out as their parameters."""
    params = jax.tree.map(
        lambda own: NamedSharding(mesh, own),
        traced.partition(),
        is_leaf=lambda x: isinstance(x, PartitionSpec),
    )
    student = NamedSharding(mesh, PartitionSpec(RULES["student"]))
    moments = {
        name: optax.tree_utils.tree_map_params(
            transformation(optimizer.form, 1.0),
            lambda _, sharding: sharding,
            state,
            params[name],
            transform_non_params=lambda _: student,
        )
        for name, state in abstract(traced, optimizer).optimizer.items()
    }
    step: Any = NamedSharding(mesh, PartitionSpec())
    change: Any = dict.fromkeys(params, student)
    return State(step, params, moments, change)
