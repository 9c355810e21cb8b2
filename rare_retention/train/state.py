"""State of a run: everything that one step turns into the next, as a plain pytree."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rare_retention.instruments.instrument import Instrument
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import RULES
from rare_retention.rules.rule import Rule
from rare_retention.settings.objective import Array, Numbers
from rare_retention.settings.student import Params
from rare_retention.settings.traced import Traced
from rare_retention.train import guard
from rare_retention.train.updates import transformation


class Blueprint(NamedTuple):
    """What the programs of a run are compiled for; runs of equal ones share them. Hashable.

    Attributes:
        traced: the models and their losses.
        optimizer: of each student; its own rates are left out for those in the arguments.
        instruments: what is measured inside the step, beside losses.
        rule: what is done with the gradients before they are applied, if anything.
        accumulate: pieces of a batch whose gradients are averaged.
    """

    traced: Traced
    optimizer: Optimizer
    instruments: tuple[Instrument, ...] = ()
    rule: Rule | None = None
    accumulate: int = 1

    def transformation(self, peak: Array) -> optax.GradientTransformation:
        """Of one student's gradient into its update.

        Args:
            peak: largest learning rate, a scalar that may be traced.
        """
        return transformation(self.optimizer.form, peak, self.traced.family.matrix)


class State(NamedTuple):
    """Training state of all students of a run.

    Attributes:
        step: number of updates applied, int32.
        params: weights, a stack for each group of students.
        optimizer: Optax state of each group, with a leading student axis as well.
        followed: what each instrument carries, by its kind; leaves have a leading student axis.
        rule: what the gradient rule carries, by "since", steps since each
            watched task was shown, and "carried"; empty without one.
        guard: what is kept of students that diverge or have spikes, see `train.guard`.
    """

    step: jax.Array
    params: Params
    optimizer: dict[str, Any]
    followed: dict[str, Any]
    rule: dict[str, Any]
    guard: dict[str, Any]


class Arguments(NamedTuple):
    """The numbers in which runs may differ and share their programs; never changed by a step.

    Attributes:
        key: of the stream's inputs; step t draws them from fold_in(key, t).
        draw: number of the draw of the initial weights, uint32.
        rates: peak learning rate of each group of students, float32.
        numbers: of the setting, `Setting.numbers`.
        rule: of the gradient rule, `Rule.numbers`; none without one.
    """

    key: Array
    draw: Array
    rates: dict[str, Array]
    numbers: Numbers
    rule: Mapping[str, Array] = {}


def create(blueprint: Blueprint, draw: jax.typing.ArrayLike) -> State:
    """State before the first step.

    Args:
        blueprint: of the run.
        draw: number of the draw of the initial weights.
    """
    traced = blueprint.traced
    params = traced.family.init(draw)
    transform = blueprint.transformation(1.0)
    moments = {name: jax.vmap(transform.init)(stack) for name, stack in params.items()}
    rule = {}
    if blueprint.rule is not None:
        before = jnp.full(len(traced.objective.watch_ids), -1, jnp.int32)
        rule = {"since": before, "carried": blueprint.rule.start(traced, params)}
    step = jnp.zeros((), jnp.int32)
    kept = guard.start(blueprint.optimizer, params)
    return State(step, params, moments, followed(blueprint, params), rule, kept)


def followed(blueprint: Blueprint, params: Params) -> dict[str, Any]:
    """What the instruments carry into the first step after a measurement.

    Args:
        blueprint: of the run.
        params: weights.
    """
    traced = blueprint.traced
    started = {tool.kind: tool.start(traced, params) for tool in blueprint.instruments}
    return {kind: own for kind, own in started.items() if own}


def fresh(blueprint: Blueprint, params: Params) -> tuple[dict[str, Any], guard.Guard]:
    """`State.followed` and `State.guard` of a run that begins with these weights."""
    return followed(blueprint, params), guard.start(blueprint.optimizer, params)


def abstract(blueprint: Blueprint) -> State:
    """Shapes and types of the state; nothing is allocated."""
    return jax.eval_shape(lambda: create(blueprint, np.uint32(0)))


def shardings(blueprint: Blueprint, mesh: Mesh) -> State:
    """Sharding of every leaf of the state; moments are laid out as their parameters."""
    params = jax.tree.map(
        lambda own: NamedSharding(mesh, own),
        blueprint.traced.family.partition(),
        is_leaf=lambda x: isinstance(x, PartitionSpec),
    )
    student = NamedSharding(mesh, PartitionSpec(RULES["student"]))
    everywhere: Any = NamedSharding(mesh, PartitionSpec())
    state = abstract(blueprint)
    moments = {
        name: _as_weights(own, params[name], student) for name, own in state.optimizer.items()
    }
    carried = {name: jax.tree.map(lambda _: student, own) for name, own in state.rule.items()}
    if carried:
        carried["since"] = everywhere  # of all students the same
    followed = jax.tree.map(lambda _: student, state.followed)
    kept = dict.fromkeys(state.guard, everywhere)
    return State(everywhere, params, moments, followed, carried, kept)


def _as_weights(moments: Any, weights: Any, other: NamedSharding) -> Any:
    """Shardings of the state of an optimizer.

    The path of a moment ends in that of its weight, also where an optimizer has only some of them.

    Args:
        moments: the state of one group.
        weights: shardings of the weights of that group.
        other: of what is no moment of a weight, such as counts.
    """
    # The longest path first: "norm" also ends that of the moment of "layers.norm".
    known = sorted(jax.tree.leaves_with_path(weights), key=lambda leaf: -len(leaf[0]))

    def place(path: tuple[Any, ...], _: Any) -> NamedSharding:
        return next((own for tail, own in known if path[-len(tail) :] == tail), other)

    return jax.tree.map_with_path(place, moments)
