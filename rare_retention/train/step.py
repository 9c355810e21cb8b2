"""One compiled call: many plain steps, then one step that also measures."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from rare_retention.settings.protocol import Measure, Setting
from rare_retention.train.gradients import Losses, gradient, interference, parts
from rare_retention.train.state import State

Measures = dict[str, jax.Array]
"""Name -> values of all students, [S, ...]."""

STEP_MEASURES = {
    "train_loss": Measure((), "mean squared error", "loss of the last batch"),
    "reference": Measure(("watch",), "mean squared error", "loss of each watched task"),
    "predicted_change": Measure(
        ("watch",),
        "mean squared error",
        "first-order change of the watched task's loss by the updates since the last measurement",
    ),
}
"""What the step itself measures, in every setting."""

SAMPLED_MEASURES = {
    "sampled_norm": Measure(
        ("part",), "norm", "gradient of each watched task's rows in the batch, and of all others"
    ),
    "sampled_cosine": Measure(
        ("watch",), "1", "cosine of the watched rows' gradient with all others'; 0 without rows"
    ),
}
"""What is measured where the batch's own gradient is split by task."""


class Step:
    """The compiled step of a run.

    A call advances all students through a chunk of batches. Only its last step measures, so that
    the others cost nothing; both kinds of step are compiled once. Measuring computes its gradients
    beside the training gradient and never replaces it: the update is the same.
    """

    def __init__(
        self,
        setting: Setting,
        transform: optax.GradientTransformation,
        *,
        sampled: bool,
        effect: bool,
    ) -> None:
        """Describes the step; nothing is compiled before the first call.

        Args:
            setting: models and tasks.
            transform: optimizer of one student.
            sampled: split the gradient of the measured batches by task.
            effect: follow the first-order effect of every update on the watched tasks.
        """
        self._setting = setting
        self._transform = transform
        self._sampled = sampled
        self._effect = effect

    def advance(
        self, state: State, key: jax.Array, rows: jax.Array, count: jax.Array
    ) -> tuple[State, Measures]:
        """Applies `count` updates and measures at the last one.

        Args:
            state: before the chunk; its buffers may be donated.
            key: of the stream; step t draws its batch from fold_in(key, t).
            rows: task of each row of each batch, int [L, B]; rows from `count` on are ignored.
            count: number of batches, at least 1, at most L.

        Returns:
            The state after the chunk and what was measured there.
        """

        def plain(
            i: jax.Array, carry: tuple[State, dict[str, jax.Array]]
        ) -> tuple[State, dict[str, jax.Array]]:
            before, change = carry
            _, grads = gradient(self._losses(before, key, rows[i]), before.params)
            return self._update(before, grads, change)

        state, change = jax.lax.fori_loop(0, count - 1, plain, (state, self._no_change(state)))
        last = rows[count - 1]
        losses = self._losses(state, key, last)
        sampled = self._interference(state, losses) if self._sampled else {}
        split, grads = gradient(losses, state.params)
        state, change = self._update(state, grads, change)
        train_loss = {name: loss.sum(-1) for name, loss in split.items()}
        return state, {
            **self.measure(state),
            **sampled,
            "train_loss": _students(train_loss),
            **({"predicted_change": _students(change)} if self._effect else {}),
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

    def _losses(self, state: State, key: jax.Array, rows: jax.Array) -> Losses:
        own = jax.random.fold_in(key, state.step)
        return lambda params: self._setting.losses(params, rows, own)

    def _no_change(self, state: State) -> dict[str, jax.Array]:
        shapes = jax.eval_shape(self._setting.reference, state.params)
        return {name: jnp.zeros(s.shape, s.dtype) for name, s in shapes.items()}

    def _update(
        self, state: State, grads: Any, change: dict[str, jax.Array]
    ) -> tuple[State, dict[str, jax.Array]]:
        """Applies one update and adds its first-order effect on the watched losses to `change`."""
        updates, optimizer = {}, {}
        for name, stack in state.params.items():
            with jax.numpy_dtype_promotion("standard"):  # Optax mixes its step count with floats
                updates[name], optimizer[name] = jax.vmap(self._transform.update)(
                    grads[name], state.optimizer[name], stack
                )
        if self._effect:
            with jax.default_matmul_precision("float32"):
                _, effect = jax.jvp(self._setting.reference, (state.params,), (updates,))
            change = jax.tree.map(jnp.add, change, effect)
        params = optax.apply_updates(state.params, updates)
        return State(state.step + 1, params, optimizer), change

    def _interference(self, state: State, losses: Losses) -> Measures:
        watch = jnp.asarray(self._setting.watch_ids)
        one_hot = jax.nn.one_hot(watch, len(self._setting.task_names))
        select = jnp.concatenate([one_hot, 1 - one_hot.sum(0, keepdims=True)])
        split = parts(losses, state.params, select)
        found = {name: interference(stack) for name, stack in split.items()}
        return {
            "sampled_norm": _students({name: f.norms for name, f in found.items()}),
            "sampled_cosine": _students({name: f.cosines[:, :-1, -1] for name, f in found.items()}),
        }


def _students(groups: dict[str, jax.Array]) -> jax.Array:
    """Joins the stacks of all groups into one student axis."""
    return jnp.concatenate(list(groups.values()), axis=0)
