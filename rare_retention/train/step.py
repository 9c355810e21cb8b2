"""One compiled call: many plain steps, then one step that also measures."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rare_retention.optimizer import Optimizer
from rare_retention.parallel import constrain
from rare_retention.settings.protocol import Batch, Measure, Setting, Traced
from rare_retention.train.gradients import gradient, gram, parts
from rare_retention.train.state import Arguments, State
from rare_retention.train.updates import transformation

Measures = dict[str, jax.Array]
"""Name -> values of all students, [S, ...]."""


def step_measures(setting: Setting) -> dict[str, Measure]:
    """What the step itself measures, in every setting."""
    unit = setting.loss_unit
    return {
        "train_loss": Measure((), unit, "loss of the last batch"),
        "batch_loss": Measure(
            ("task",), unit, "the same, mean over the terms of each task; NaN without any"
        ),
        "reference": Measure(("watch",), unit, "loss of each watched task"),
        "predicted_change": Measure(
            ("watch",),
            unit,
            "first-order change of the watched task's loss by the updates since the last "
            "measurement",
        ),
    }


GRADIENT_MEASURES = {
    "gram": Measure(
        ("block", "vector", "other"),
        "squared loss unit",
        "inner products of gradients and the update on each block of weights; see "
        "`evidence.gradients`",
    ),
    "block_weights": Measure(("block",), "weights", "number of weights in each block"),
}
"""What is measured where gradients are compared."""


class Step:
    """The compiled step of a run.

    A call advances all students through a chunk of batches. `advance` measures at the last of them,
    so that the others cost nothing; both kinds of step are compiled once. Measuring computes its
    gradients beside the training gradient and never replaces it: the update is the same.
    """

    def __init__(
        self,
        traced: Traced,
        optimizer: Optimizer,
        *,
        gradients: bool,
        effect: bool,
        accumulate: int = 1,
    ) -> None:
        """Describes the step; nothing is compiled before the first call.

        Args:
            traced: the models and their losses.
            optimizer: of one student; its own rates are left out for those in the arguments.
            gradients: compare the gradients of measured batches, by task, with each other, with
                those of the reference losses and with the update.
            effect: follow the first-order effect of every update on the watched tasks.
            accumulate: pieces of a batch whose gradients are averaged.
        """
        self._traced = traced
        self._optimizer = optimizer.form
        self._gradients = gradients
        self._effect = effect
        self._accumulate = accumulate

    def run(self, state: State, own: Arguments, batches: Batch, count: jax.Array) -> State:
        """Applies `count` updates and measures nothing.

        Args:
            state: before the chunk; its buffers may be donated.
            own: numbers of the run; step t draws from fold_in(own.key, t).
            batches: leaves [L, B, ...]; batches from `count` on are ignored.
            count: number of batches, at most L.
        """

        def plain(i: jax.Array, state: State) -> State:
            grads = self._gradient(state, own, _at(batches, i))[1]
            return self._update(state, own, grads)[0]

        return jax.lax.fori_loop(0, count, plain, state)

    def advance(
        self, state: State, own: Arguments, batches: Batch, count: jax.Array
    ) -> tuple[State, Measures]:
        """Applies `count` updates, at least 1, and measures at the last one; arguments as `run`.

        Returns:
            The state after the chunk and what was measured there.
        """
        before = self.run(state, own, batches, count - 1)
        last = _at(batches, count - 1)
        split, grads = self._gradient(before, own, last)
        state, updates = self._update(before, own, grads)
        compared = self._compare(before, own, last, grads, updates) if self._gradients else {}
        by_task, shares = _students(split), self._traced.shares(last)[None]
        effect = {"predicted_change": _students(state.change)} if self._effect else {}
        state = state._replace(change=jax.tree.map(jnp.zeros_like, state.change))
        return state, {
            **self.measure(state, own),
            **compared,
            **effect,
            "train_loss": by_task.sum(-1),
            "batch_loss": jnp.where(shares > 0, by_task / shares, jnp.nan),
        }

    def measure(self, state: State, own: Arguments) -> Measures:
        """What can be measured of a state alone, without a batch."""
        with self._finest():  # whatever the students are trained in
            values = self._traced.probe(state.params, own.numbers)
            reference = self._traced.reference(state.params, own.numbers)
        names = next(iter(values.values()))
        return {
            **{name: _students({g: v[name] for g, v in values.items()}) for name in names},
            "reference": _students(reference),
        }

    def _finest(self) -> AbstractContextManager[object]:
        return jax.default_matmul_precision(self._traced.finest_precision)

    def _gradient(self, state: State, own: Arguments, batch: Batch) -> tuple[Any, Any]:
        """Losses by task and gradient of a batch."""

        def of(rows: Batch, key: jax.Array) -> tuple[Any, Any]:
            return gradient(lambda p: self._traced.losses(p, rows, key, own.numbers), state.params)

        return self._mean(of, state, own, batch)

    def _mean(
        self,
        function: Callable[[Batch, jax.Array], Any],
        state: State,
        own: Arguments,
        batch: Batch,
    ) -> Any:
        """What a function makes of a batch and its key; of pieces of it, the mean."""
        key, pieces = jax.random.fold_in(own.key, state.step), self._accumulate
        if pieces == 1:
            return function(batch, key)

        def cut(leaf: jax.Array) -> jax.Array:
            # Every `pieces`-th row, since a device has rows that stand together.
            apart = leaf.reshape(leaf.shape[0] // pieces, pieces, *leaf.shape[1:])
            return constrain(jnp.swapaxes(apart, 0, 1), None, "batch")

        def add(total: Any, rows: Batch) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, function(rows, key)), None

        cuts = jax.tree.map(cut, batch)
        shapes = jax.eval_shape(function, _at(cuts, jnp.int32(0)), key)
        start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        total, _ = jax.lax.scan(add, start, cuts)
        return jax.tree.map(lambda leaf: leaf / pieces, total)

    def _update(self, state: State, own: Arguments, grads: Any) -> tuple[State, Any]:
        """Applies one update, which it returns too, and adds its first-order effects."""
        updates, optimizer = {}, {}
        for name, stack in state.params.items():
            with jax.numpy_dtype_promotion("standard"):  # Optax mixes its step count with floats
                update = transformation(self._optimizer, own.rates[name]).update
                updates[name], optimizer[name] = jax.vmap(update)(
                    grads[name], state.optimizer[name], stack
                )
        change = state.change
        if self._effect:
            with self._finest():
                _, effect = jax.jvp(self._reference(own), (state.params,), (updates,))
            change = jax.tree.map(jnp.add, change, effect)
        params = optax.apply_updates(state.params, updates)
        return State(state.step + 1, params, optimizer, change), updates

    def _reference(self, own: Arguments) -> Callable[[Any], dict[str, jax.Array]]:
        """The watched tasks' losses as a function of the weights."""
        return lambda params: self._traced.reference(params, own.numbers)

    def _compare(
        self, state: State, own: Arguments, batch: Batch, grads: Any, updates: Any
    ) -> Measures:
        """Gram matrices of the parts of a batch's gradient, the reference gradients, the update."""
        traced = self._traced
        each = jnp.eye(len(traced.watch_ids))

        def of(rows: Batch, key: jax.Array) -> Any:
            def losses(params: Any) -> dict[str, jax.Array]:
                return traced.watched_losses(params, rows, key, own.numbers)

            return parts(losses, state.params, each)

        watched = self._mean(of, state, own, batch)
        with self._finest():
            reference = parts(self._reference(own), state.params, each)

        others = jax.tree.map(lambda all_, own: all_ - own.sum(0), grads, watched)
        every = range(len(traced.watch_ids))
        vectors = [*(_at(watched, k) for k in every), others]
        vectors += [*(_at(reference, k) for k in every), updates]
        found = {g: self._grams([v[g] for v in vectors]) for g in others}
        return {
            "gram": _students({g: grams for g, (grams, _) in found.items()}),
            "block_weights": _students({g: weights for g, (_, weights) in found.items()}),
        }

    def _grams(self, vectors: Sequence[Any]) -> tuple[jax.Array, jax.Array]:
        """Gram matrices of one group's V gradients, and how many weights they are of.

        Returns:
            [R, block, V, V] and [R, block], NaN where the group has no such block.
        """
        traced = self._traced
        watch = traced.watch_ids
        reference = vectors[len(watch) + 1 + watch.index(traced.rarest)]

        blocks = [traced.blocks(v) for v in vectors]
        found = {name: gram([block[name] for block in blocks]) for name in blocks[0]}
        found["all"] = jnp.stack(list(found.values())).sum(0)
        selected = [traced.selections(v, reference) for v in vectors]
        found |= {name: gram([block[name] for block in selected]) for name in selected[0]}
        weights = {name: _weights(part) for name, part in (blocks[0] | selected[0]).items()}
        weights["all"] = _weights(blocks[0])
        names, students = traced.block_labels, len(found["all"])
        missing = jnp.full_like(found["all"], jnp.nan)  # smaller models have fewer layers
        counts = jnp.array([weights.get(name, jnp.nan) for name in names], jnp.float32)
        return (
            jnp.stack([found.get(name, missing) for name in names], axis=1),
            jnp.broadcast_to(counts, (students, len(names))),
        )


def _weights(tree: Any) -> float:
    """Weights of one student in a tree of leaves [R, ...]."""
    return float(sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(tree)))


def _at(tree: Any, index: jax.Array | int) -> Any:
    """One batch of a chunk, or one of stacked gradients."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _students(groups: dict[str, jax.Array]) -> jax.Array:
    """Joins the stacks of all groups into one student axis."""
    return jnp.concatenate(list(groups.values()), axis=0)
