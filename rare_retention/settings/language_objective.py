"""Next-token prediction inside compiled programs: losses by task, and what models are asked."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rare_retention.models import vocabulary
from rare_retention.models.language_model import LanguageModel
from rare_retention.settings.levels import Levels
from rare_retention.settings.objective import Array, Losses, Objective
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.scoring import answers, prompted, scores

Batch = dict[str, jax.Array]
"""tokens [B, T]; task of each slot [B, slots], 0 where it is left to the text."""


class Numbers(NamedTuple):
    """What the models are asked, as arguments of the objective.

    Attributes:
        train: instances of each injected task's training half that are evaluated, int32
            [n, length].
        test: of its test half.
        reference: those whose loss is its reference loss.
        labels: tokens among which the answers of each task are, int32 [c]; none where an answer
            has several tokens.
        text: held-out windows, int32 [H, T].
        prompts: tokens, numbers and right ones of each pattern, see `tasks.natural.Prompts`.
    """

    train: tuple[Array, ...]
    test: tuple[Array, ...]
    reference: tuple[Array, ...]
    labels: tuple[Array, ...]
    text: Array
    prompts: tuple[tuple[Array, Array, Array], ...]


class Sequences(NamedTuple):
    """A batch of B sequences as the models are shown it.

    Attributes:
        tokens: int32 [B, T].
        targets: the token after each, int32 [B, T]; the last has none.
        owners: task of each target, one-hot [B, T, K]; all zero where there is no target.
    """

    tokens: jax.Array
    targets: jax.Array
    owners: jax.Array


@dataclass(frozen=True, kw_only=True)
class NextToken(Objective):
    """Cross-entropy of the next token; implements `Objective`.

    Attributes:
        window: T.
        per_sequence: slots of a sequence.
        spans: tokens of an instance of each task with the end of the document; 0 for the text.
        answers: tokens of the answer of each injected task, its last ones.
        watch_ids: watched tasks.
        rarest: of them.
        prompts: names of the natural patterns that are asked.
        beside: name of each value that the models put beside their outputs, and what it is.
    """

    loss_unit = "nats"

    window: int
    per_sequence: int
    spans: tuple[int, ...]
    answers: tuple[int, ...]
    watch_ids: tuple[int, ...]
    rarest: int
    prompts: tuple[str, ...]
    beside: tuple[tuple[str, Quantity], ...] = ()

    @property
    def recorded(self) -> dict[str, Quantity]:
        """What the architecture has beside its outputs."""
        return dict(self.beside)

    @property
    def quantities(self) -> dict[str, Quantity]:
        """What `probe` returns: of a task for its answers, of the text for all its tokens."""
        halves = {"": "training half; text: held-out", "test_": "test half; text: held-out"}
        found = {}
        for prefix, which in halves.items():
            found[f"{prefix}loss"] = Quantity(("task",), "nats", f"loss of the answer ({which})")
            right = f"answers of which every token is the likeliest ({which})"
            found[f"{prefix}accuracy"] = Quantity(("task",), "share", right)
            found[f"{prefix}answer"] = Quantity(("task",), "1", f"level of the answer ({which})")
            form = f"log of the probability of all labels ({which})"
            found[f"{prefix}format"] = Quantity(("task",), "nats", form)
            area = f"area under the ROC curve, of tasks with two labels ({which})"
            found[f"{prefix}auc"] = Quantity(("task",), "share", area)
        if self.prompts:
            meaning = "minus log of the probability of a right number after natural prompts"
            found["reference_loss"] = Quantity(("prompt",), "nats", meaning)
        return found

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Names of the prompts."""
        return {"prompt": self.prompts} if self.prompts else {}

    def shares(self, batch: Batch) -> jax.Array:
        """Share of each task in the targets of a batch, [K]."""
        return self._owners(batch).mean((0, 1)) * self.window / (self.window - 1)

    def _owners(self, batch: Batch) -> jax.Array:
        """Which task each position's target belongs to, one-hot [B, T, K]; the last has none.

        Every token of an instance, and the end of the document after it, belongs to its task: an
        instance at the start of a sequence has all of them as targets but the first. What is left
        of a slot behind a short instance is text.
        """
        rows, length = batch["tokens"].shape
        inside = np.arange(max(self.spans)) < np.array(self.spans)[:, None]
        owned = jnp.asarray(inside)[batch["task"]]
        filled = jnp.where(owned, batch["task"][..., None], 0).reshape(rows, -1)
        owner = jnp.pad(filled, ((0, 0), (0, length - filled.shape[1])))
        targets = jax.nn.one_hot(owner[:, 1:], len(self.spans))
        return jnp.pad(targets, ((0, 0), (0, 1), (0, 0)))

    def inputs(self, batch: Batch, key: jax.Array, numbers: Numbers) -> Sequences:
        """Whole sequences; nothing is drawn."""
        del key, numbers
        tokens = batch["tokens"].astype(jnp.int32)
        return Sequences(tokens, jnp.roll(tokens, -1, axis=1), self._owners(batch))

    def watched_inputs(self, batch: Batch, key: jax.Array, numbers: Numbers) -> Sequences:
        """The first tokens of each sequence, in which its slots are.

        Attention is causal: the losses of instances at the start of a sequence depend on nothing
        behind them, so that neither do their gradients.
        """
        del key, numbers
        tokens = batch["tokens"][:, : max(self.spans) * self.per_sequence].astype(jnp.int32)
        first = {"tokens": tokens, "task": batch["task"]}
        return Sequences(tokens, jnp.roll(tokens, -1, axis=1), self._owners(first))

    def losses(self, model: LanguageModel, inputs: Sequences) -> Losses:
        """Mean cross-entropy of the targets of a batch, split by task."""
        tokens, targets, owners = inputs
        terms = tokens.shape[0] * (self.window - 1)
        outputs = model.forward(tokens)
        each = vocabulary.token_losses(outputs.hidden, model.readout, targets)
        by_task = jnp.einsum("bt,btk->k", each, owners) / terms
        return Losses(by_task, outputs.apart, outputs.recorded)

    def reference(self, model: LanguageModel, numbers: Numbers) -> jax.Array:
        """Loss of the watched tasks' answers, [len(watch)], on what `Language.reference` names."""
        asked = [(numbers.reference[k - 1], self.answers[k - 1]) for k in self.watch_ids]
        return jnp.stack([answers(model, *each).loss for each in asked])

    def probe(self, model: LanguageModel, numbers: Numbers) -> dict[str, jax.Array]:
        """Losses and accuracies on both halves, on held-out text, and after natural prompts."""
        found = {}
        text = scores(model, numbers.text, first=1)
        for prefix, half in (("", numbers.train), ("test_", numbers.test)):
            asked = zip(half, self.answers, numbers.labels, strict=True)
            results = [answers(model, *each) for each in asked]
            found[f"{prefix}loss"] = jnp.stack([text[0], *(each.loss for each in results)])
            found[f"{prefix}accuracy"] = jnp.stack([text[1], *(each.right for each in results)])
            for name in Levels._fields:
                known = [getattr(each.levels, name) for each in results]
                found[prefix + name] = jnp.stack([jnp.full((), jnp.nan), *known])
        if numbers.prompts:
            prompts = [prompted(model, *pattern) for pattern in numbers.prompts]
            found["reference_loss"] = jnp.stack(prompts)
        return found
