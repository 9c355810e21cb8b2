"""One compiled call: many plain steps, then one step that also measures."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rare_retention.parallel import constrain
from rare_retention.settings.protocol import Batch, Measure, Setting
from rare_retention.train.gradients import Losses, gradient, interference, parts
from rare_retention.train.state import State

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


SAMPLED_MEASURES = {
    "sampled_norm": Measure(
        ("part",), "norm", "gradient of each watched task's terms in the batch, and of all others"
    ),
    "sampled_cosine": Measure(
        ("watch",), "1", "cosine of the watched terms' gradient with all others'; 0 without terms"
    ),
}
"""What is measured where the batch's own gradient is split by task."""


class Step:
    """The compiled step of a run.

    A call advances all students through a chunk of batches. `advance` measures at the last of them,
    so that the others cost nothing; both kinds of step are compiled once. Measuring computes its
    gradients beside the training gradient and never replaces it: the update is the same.
    """

    def __init__(
        self,
        setting: Setting,
        transform: optax.GradientTransformation,
        *,
        sampled: bool,
        effect: bool,
        accumulate: int = 1,
    ) -> None:
        """Describes the step; nothing is compiled before the first call.

        Args:
            setting: models and tasks.
            transform: optimizer of one student.
            sampled: split the gradient of the measured batches by task.
            effect: follow the first-order effect of every update on the watched tasks.
            accumulate: pieces of a batch whose gradients are averaged.
        """
        self._setting = setting
        self._transform = transform
        self._sampled = sampled
        self._effect = effect
        self._accumulate = accumulate

    def run(self, state: State, key: jax.Array, batches: Batch, count: jax.Array) -> State:
        """Applies `count` updates and measures nothing.

        Args:
            state: before the chunk; its buffers may be donated.
            key: of the stream; step t draws from fold_in(key, t).
            batches: leaves [L, B, ...]; batches from `count` on are ignored.
            count: number of batches, at most L.
        """

        def plain(i: jax.Array, state: State) -> State:
            return self._update(state, self._gradient(state, key, _at(batches, i))[1])

        return jax.lax.fori_loop(0, count, plain, state)

    def advance(
        self, state: State, key: jax.Array, batches: Batch, count: jax.Array
    ) -> tuple[State, Measures]:
        """Applies `count` updates, at least 1, and measures at the last one; arguments as `run`.

        Returns:
            The state after the chunk and what was measured there.
        """
        state = self.run(state, key, batches, count - 1)
        last = _at(batches, count - 1)
        sampled = self._interference(state, key, last) if self._sampled else {}
        split, grads = self._gradient(state, key, last)
        state = self._update(state, grads)
        by_task, shares = _students(split), self._setting.shares(last)[None]
        effect = {"predicted_change": _students(state.change)} if self._effect else {}
        state = state._replace(change=jax.tree.map(jnp.zeros_like, state.change))
        return state, {
            **self.measure(state),
            **sampled,
            **effect,
            "train_loss": by_task.sum(-1),
            "batch_loss": jnp.where(shares > 0, by_task / shares, jnp.nan),
        }

    def measure(self, state: State) -> Measures:
        """What can be measured of a state alone, without a batch."""
        with jax.default_matmul_precision("float32"):  # whatever the students are trained in
            values = self._setting.probe(state.params)
            reference = self._setting.reference(state.params)
        names = next(iter(values.values()))
        return {
            **{name: _students({g: v[name] for g, v in values.items()}) for name in names},
            "reference": _students(reference),
        }

    def _gradient(self, state: State, key: jax.Array, batch: Batch) -> tuple[Any, Any]:
        """Losses by task and gradient of a batch."""
        return self._mean(lambda losses: gradient(losses, state.params), state, key, batch)

    def _mean(
        self, function: Callable[[Losses], Any], state: State, key: jax.Array, batch: Batch
    ) -> Any:
        """What a function makes of the losses of a batch; of pieces of it, the mean."""
        own, pieces = jax.random.fold_in(key, state.step), self._accumulate

        def of(rows: Batch) -> Any:
            return function(lambda params: self._setting.losses(params, rows, own))

        if pieces == 1:
            return of(batch)

        def cut(leaf: jax.Array) -> jax.Array:
            # Every `pieces`-th row, since a device has rows that stand together.
            apart = leaf.reshape(leaf.shape[0] // pieces, pieces, *leaf.shape[1:])
            return constrain(jnp.swapaxes(apart, 0, 1), None, "batch")

        def add(total: Any, rows: Batch) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of(rows)), None

        cuts = jax.tree.map(cut, batch)
        shapes = jax.eval_shape(of, _at(cuts, jnp.int32(0)))
        start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        total, _ = jax.lax.scan(add, start, cuts)
        return jax.tree.map(lambda leaf: leaf / pieces, total)

    def _update(self, state: State, grads: Any) -> State:
        """Applies one update and adds its first-order effect on the watched losses."""
        updates, optimizer = {}, {}
        for name, stack in state.params.items():
            with jax.numpy_dtype_promotion("standard"):  # Optax mixes its step count with floats
                updates[name], optimizer[name] = jax.vmap(self._transform.update)(
                    grads[name], state.optimizer[name], stack
                )
        change = state.change
        if self._effect:
            with jax.default_matmul_precision("float32"):
                _, effect = jax.jvp(self._setting.reference, (state.params,), (updates,))
            change = jax.tree.map(jnp.add, change, effect)
        params = optax.apply_updates(state.params, updates)
        return State(state.step + 1, params, optimizer, change)

    def _interference(self, state: State, key: jax.Array, batch: Batch) -> Measures:
        watch = jnp.asarray(self._setting.watch_ids)
        one_hot = jax.nn.one_hot(watch, len(self._setting.task_names))
        select = jnp.concatenate([one_hot, 1 - one_hot.sum(0, keepdims=True)])
        split = self._mean(lambda losses: parts(losses, state.params, select), state, key, batch)
        found = {name: interference(stack) for name, stack in split.items()}
        return {
            "sampled_norm": _students({name: f.norms for name, f in found.items()}),
            "sampled_cosine": _students({name: f.cosines[:, :-1, -1] for name, f in found.items()}),
        }


def _at(batches: Batch, index: jax.Array) -> Batch:
    """One batch of a chunk."""
    return jax.tree.map(lambda leaf: leaf[index], batches)


def _students(groups: dict[str, jax.Array]) -> jax.Array:
    """Joins the stacks of all groups into one student axis."""
    return jnp.concatenate(list(groups.values()), axis=0)
