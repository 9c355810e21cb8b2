"""State of a run: everything that one step turns into the next, as a plain pytree."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rare_retention.parallel import RULES
from rare_retention.settings.protocol import Params, Setting

Transforms: TypeAlias = optax.GradientTransformation | Mapping[str, optax.GradientTransformation]
"""The optimizer of one student: the same for all, or one for each group."""


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


def create(setting: Setting, transforms: Transforms) -> State:
    """State before the first step."""
    params = setting.init()
    optimizer = {
        name: jax.vmap(transform_of(transforms, name).init)(stack) for name, stack in params.items()
    }
    return State(jnp.zeros((), jnp.int32), params, optimizer, no_change(setting))


def transform_of(transforms: Transforms, group: str) -> optax.GradientTransformation:
    """The optimizer of a student of that group."""
    return transforms[group] if isinstance(transforms, Mapping) else transforms


def no_change(setting: Setting) -> dict[str, jax.Array]:
    """A `State.change` of zeros."""
    students = Counter(student.group for student in setting.students)
    return {name: jnp.zeros((count, len(setting.watch_ids))) for name, count in students.items()}


def shardings(setting: Setting, transforms: Transforms, mesh: Mesh) -> State:
    """Sharding of every leaf of the state; moments are laid out as their parameters."""
    abstract = jax.eval_shape(lambda: create(setting, transforms))
    params = jax.tree.map(
        lambda own: NamedSharding(mesh, own),
        setting.partition(),
        is_leaf=lambda x: isinstance(x, PartitionSpec),
    )
    student = NamedSharding(mesh, PartitionSpec(RULES["student"]))
    optimizer = {
        name: optax.tree_utils.tree_map_params(
            transform_of(transforms, name),
            lambda _, sharding: sharding,
            state,
            params[name],
            transform_non_params=lambda _: student,
        )
        for name, state in abstract.optimizer.items()
    }
    step: Any = NamedSharding(mesh, PartitionSpec())
    change: Any = dict.fromkeys(params, student)
    return State(step, params, optimizer, change)
