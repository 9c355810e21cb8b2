"""Sparse parities inside compiled programs: losses by subtask, and what is measured of them."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rare_retention.models.perceptron import Perceptron
from rare_retention.parallel import constrain
from rare_retention.settings.objective import Array, Losses
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.row_objective import RowObjective

_WORD = 32


class Numbers(NamedTuple):
    """Arguments of the objective.

    Attributes:
        subsets: bits that each parity is of, int32 [K, m].
        rows: task bits on which every subtask is measured, float32 [rows, n].
    """

    subsets: Array
    rows: Array


class Examples(NamedTuple):
    """A batch of B rows.

    Attributes:
        task: subtask of each row, int [B].
        bits: task bits, 0.0 or 1.0 [B, n].
        label: parity of each row, 0 or 1, int [B].
        owner: subtask of each row, one-hot [B, K].
    """

    task: jax.Array
    bits: jax.Array
    label: jax.Array
    owner: jax.Array


@dataclass(frozen=True, kw_only=True)
class CrossEntropies(RowObjective):
    """Cross-entropy of the two outputs with the parity; implements `Objective`."""

    loss_unit = "nats"

    @property
    def quantities(self) -> dict[str, Quantity]:
        """What `probe` returns."""
        return {
            "loss": Quantity(("task",), "nats", "cross-entropy on the evaluated rows"),
            "accuracy": Quantity(("task",), "share", "evaluated rows whose parity is told"),
        }

    def inputs(self, batch: jax.Array, key: jax.Array, numbers: Numbers) -> Examples:
        """Freshly drawn task bits of a batch, and their parities."""
        bits = constrain(draw(key, batch.shape[0], numbers.rows.shape[1]), "batch", None)
        label = parity(bits, numbers.subsets[batch])
        return Examples(batch, bits, label, jax.nn.one_hot(batch, self.tasks))

    def losses(self, model: Perceptron, inputs: Examples) -> Losses:
        """Mean cross-entropy of the rows, split by subtask."""
        task, bits, label, owner = inputs
        each = cross_entropy(model(model.shared(bits), task), label)
        return Losses(each @ owner / task.shape[0])

    def reference(self, model: Perceptron, numbers: Numbers) -> jax.Array:
        """Loss of the watched subtasks on the evaluated rows, [len(watch)]."""
        return self._asked(model, numbers, jnp.asarray(self.watch_ids))[0]

    def probe(self, model: Perceptron, numbers: Numbers) -> dict[str, jax.Array]:
        """Loss and accuracy of every subtask on the evaluated rows."""
        loss, accuracy = self._asked(model, numbers, jnp.arange(self.tasks))
        return {"loss": loss, "accuracy": accuracy}

    def _asked(
        self, model: Perceptron, numbers: Numbers, tasks: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Loss and accuracy of some subtasks, one after another: hidden units of all need room."""
        shared = model.shared(numbers.rows)

        def one(task: jax.Array) -> tuple[jax.Array, jax.Array]:
            logits, label = model(shared, task), parity(numbers.rows, numbers.subsets[task])
            told = logits.argmax(-1) == label
            return cross_entropy(logits, label).mean(), told.astype(logits.dtype).mean()

        loss, accuracy = jax.lax.map(one, tasks)
        return loss, accuracy


def draw(key: jax.Array, rows: int, bits: int) -> jax.Array:
    """Fair random bits as 0.0 and 1.0, [rows, bits]; every bit of a random word is used."""
    words = jax.random.bits(key, (rows, -(-bits // _WORD)), jnp.uint32)
    places = jnp.arange(_WORD, dtype=jnp.uint32)[None, None]
    spread = words[..., None] >> places & jnp.uint32(1)
    return spread.reshape(rows, -1)[:, :bits].astype(jnp.float32)


def parity(bits: jax.Array, subset: jax.Array) -> jax.Array:
    """Parity of some of the bits of each row.

    Args:
        bits: 0.0 or 1.0 [B, n].
        subset: which of them, int [B, m], or [m] for all rows.

    Returns:
        0 or 1, int32 [B].
    """
    subset = jnp.broadcast_to(subset, (bits.shape[0], subset.shape[-1]))
    return jnp.take_along_axis(bits, subset, axis=-1).sum(-1).astype(jnp.int32) % 2


def cross_entropy(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Cross-entropy in nats of two outputs with labels 0 and 1.

    Args:
        logits: [..., 2].
        label: int [...].
    """
    margin = logits[..., 1] - logits[..., 0]
    return jax.nn.softplus(jnp.where(label == 1, -margin, margin))
