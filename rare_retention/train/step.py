"""One compiled call: many plain steps, then one step that also measures."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rare_retention.instruments.instrument import Moment
from rare_retention.parallel import constrain
from rare_retention.rules import rule as rules
from rare_retention.settings.mixture import Batch
from rare_retention.settings.objective import Losses
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.setting import Setting
from rare_retention.settings.student import Params
from rare_retention.train import guard
from rare_retention.train.parts import gradient, watched_parts
from rare_retention.train.state import Arguments, Blueprint, State, followed

Values = dict[str, jax.Array]
"""Name -> measured values of all students, [S, ...]."""


def step_quantities(setting: Setting) -> dict[str, Quantity]:
    """What the step measures in every setting, whatever the instruments."""
    unit = setting.objective.loss_unit
    each = "the same, mean over the terms of each task; NaN without any"
    return {
        "train_loss": Quantity((), unit, "loss of the last batch"),
        "gradient_norm": Quantity((), "norm", "of its gradient, before the rule and clipping"),
        "batch_loss": Quantity(("task",), unit, each),
        "reference": Quantity(("watch",), unit, "loss of each watched task"),
    }


class Taken(NamedTuple):
    """A step that was taken.

    Attributes:
        state: after it.
        losses: of its batch, in parts, for each group.
        moment: what instruments see of it.
    """

    state: State
    losses: dict[str, Losses]
    moment: Moment


class Step:
    """The compiled step of a run.

    A call advances all students through some batches of a chunk. `advance` measures at the last of
    them, so that the others cost nothing; both kinds of step are compiled once. Measuring computes
    its gradients beside the training gradient and never replaces it: the update is the same.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        """Describes the step; nothing is compiled before the first call."""
        self._blueprint = blueprint
        self._traced = blueprint.traced

    def run(
        self,
        state: State,
        own: Arguments,
        batches: Batch,
        stop: jax.Array,
        start: jax.typing.ArrayLike = 0,
    ) -> State:
        """Applies the updates of batches start, ..., stop - 1 and measures nothing.

        Args:
            state: before the first update; not to be used again, as its buffers may be donated.
            own: the run's own numbers, such as learning rates; the update of state t, the t-th of
                the run counted from 0, draws from fold_in(own.key, t).
            batches: a chunk of L consecutive batches, leaves [L, B, ...].
            stop: index behind the last one that is used, int32 scalar from 0 to L.
            start: index of the first one.

        Returns:
            The state after the last update.
        """

        def plain(i: jax.Array, state: State) -> State:
            return self._take(state, own, _at(batches, i)).state

        return jax.lax.fori_loop(start, stop, plain, state)

    def advance(
        self,
        state: State,
        own: Arguments,
        batches: Batch,
        stop: jax.Array,
        start: jax.typing.ArrayLike = 0,
    ) -> tuple[State, Values]:
        """Applies at least one update, and measures at the last one; arguments as `run`.

        Returns:
            The state after the chunk and what was measured there.
        """
        before = self.run(state, own, batches, stop - 1, start)
        last = _at(batches, stop - 1)
        state, losses, moment = self._take(before, own, last)
        values = {**self.measure(state, own), **self._of_batch(losses, last)}
        values["gradient_norm"] = _students({g: _norms(own) for g, own in moment.gradient.items()})
        for tool in self._blueprint.instruments:
            read = tool.read(state.followed.get(tool.kind, {}), moment)
            values |= {name: _students(groups) for name, groups in read.items()}
        return state._replace(followed=followed(self._blueprint, state.params)), values

    def measure(self, state: State, own: Arguments) -> Values:
        """What can be measured of a state alone, without a batch; `guard.COUNTS` among it."""
        with self._finest():  # whatever the students are trained in
            probed = self._traced.probe(state.params, own.numbers)
            reference = self._traced.reference(state.params, own.numbers)
        counted = {name: state.guard[name] for name in guard.COUNTS & state.guard.keys()}
        return {**_by_name(probed), "reference": _students(reference), **counted}

    def _of_batch(self, losses: dict[str, Losses], batch: Batch) -> Values:
        """Losses of a batch, and what the objective records of it."""
        by_task = _students({group: own.by_task for group, own in losses.items()})
        apart = _by_name({group: own.apart for group, own in losses.items()})
        shares = self._traced.objective.shares(batch)[None]
        return {
            "train_loss": sum(apart.values(), start=by_task.sum(-1)),
            "batch_loss": jnp.where(shares > 0, by_task / shares, jnp.nan),
            **apart,
            **_by_name({group: own.recorded for group, own in losses.items()}),
        }

    def _finest(self) -> AbstractContextManager[object]:
        return jax.default_matmul_precision(self._traced.family.finest_precision)

    def _take(self, state: State, own: Arguments, batch: Batch) -> Taken:
        """One step: gradient, rule, update; and what the instruments follow of it."""
        mean = self._pieces(state, own, batch)
        losses, grads = mean(
            lambda rows, key: gradient(
                lambda p: self._traced.losses(p, rows, key, own.numbers), state.params
            )
        )
        rule = self._blueprint.rule
        if rule is None:
            updates, optimizer, kept = self._optimize(state, own, losses, grads)
            carried = state.rule
        else:
            seen = self._rule_sees(state, own, batch, mean)
            ruled = rule.gradient(self._parts(rule, grads, seen), seen)
            updates, optimizer, kept = self._optimize(state, own, losses, ruled)
            updates = rule.update(updates, seen)
            carried = {"since": seen.phase.since, "carried": rule.carry(updates, seen)}
        moment = Moment(self._traced, own.numbers, state.params, grads, updates, mean)
        watching = {tool.kind: tool for tool in self._blueprint.instruments}
        after = State(
            state.step + 1,
            optax.apply_updates(state.params, updates),
            optimizer,
            {kind: watching[kind].follow(old, moment) for kind, old in state.followed.items()},
            carried,
            kept,
        )
        return Taken(after, losses, moment)

    def _rule_sees(self, state: State, own: Arguments, batch: Batch, mean: Any) -> rules.Seen:
        """The step as the gradient rule sees it."""
        watch = jnp.asarray(self._traced.objective.watch_ids)
        shown, since = self._traced.objective.shares(batch)[watch] > 0, state.rule["since"]
        phase = rules.Phase(shown, jnp.where(shown, 0, jnp.where(since < 0, -1, since + 1)))
        carried = state.rule["carried"]
        return rules.Seen(self._traced, own.numbers, state.params, phase, carried, mean, own.rule)

    def _parts(self, rule: rules.Rule, grads: Params, seen: rules.Seen) -> rules.Parts:
        """The gradient of the batch as its rule reads it."""
        if not rule.by_part:
            return rules.Parts({}, grads)
        watched = seen.mean(
            lambda rows, key: watched_parts(self._traced, seen.params, rows, key, seen.numbers)
        )
        return rules.Parts(watched, jax.tree.map(lambda g, w: g - w.sum(0), grads, watched))

    def _pieces(self, state: State, own: Arguments, batch: Batch) -> Callable[[Any], Any]:
        """The mean over the pieces of a batch of any function of rows and their key."""
        key, pieces = jax.random.fold_in(own.key, state.step), self._blueprint.accumulate

        def cut(leaf: jax.Array) -> jax.Array:
            # Every `pieces`-th row, since a device has rows that stand together.
            apart = leaf.reshape(leaf.shape[0] // pieces, pieces, *leaf.shape[1:])
            return constrain(jnp.swapaxes(apart, 0, 1), None, "batch")

        def mean(function: Callable[[Batch, jax.Array], Any]) -> Any:
            if pieces == 1:
                return function(batch, key)

            def add(total: Any, rows: Batch) -> tuple[Any, None]:
                return jax.tree.map(jnp.add, total, function(rows, key)), None

            cuts = jax.tree.map(cut, batch)
            shapes = jax.eval_shape(function, _at(cuts, jnp.int32(0)), key)
            start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
            total, _ = jax.lax.scan(add, start, cuts)
            return jax.tree.map(lambda leaf: leaf / pieces, total)

        return mean

    def _optimize(
        self, state: State, own: Arguments, losses: dict[str, Losses], grads: Params
    ) -> tuple[Params, dict[str, Any], guard.Guard]:
        """The optimizer's updates, none of who takes no step; its state and the guard's after."""
        updates, optimizer = {}, {}
        for name, stack in state.params.items():
            with jax.numpy_dtype_promotion("standard"):  # Optax mixes its step count with floats
                update = self._blueprint.transformation(own.rates[name]).update
                updates[name], optimizer[name] = jax.vmap(update)(
                    grads[name], state.optimizer[name], stack
                )
        taken, kept = guard.judge(self._blueprint.optimizer, state.guard, state.step, losses, grads)
        updates = guard.where(taken, updates, 0)
        if "skipped" in kept:  # who has diverged needs no moments any more
            optimizer = guard.where(taken, optimizer, state.optimizer)
        return updates, optimizer, kept


def _norms(stack: Any) -> jax.Array:
    """Norm of the whole gradient of each student [R], of leaves [R, ...]."""
    squares = [
        jnp.square(leaf.astype(jnp.float32)).sum(range(1, leaf.ndim))
        for leaf in jax.tree.leaves(stack)
    ]
    return jnp.sqrt(sum(squares[1:], start=squares[0]))


def _at(tree: Any, index: jax.Array | int) -> Any:
    """One batch of a chunk."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _by_name(groups: dict[str, dict[str, jax.Array]]) -> Values:
    """Values of each group by name, joined for all students."""
    names = next(iter(groups.values()))
    return {name: _students({g: own[name] for g, own in groups.items()}) for name in names}


def _students(groups: dict[str, jax.Array]) -> jax.Array:
    """Joins the stacks of all groups into one student axis."""
    return jnp.concatenate(list(groups.values()), axis=0)
