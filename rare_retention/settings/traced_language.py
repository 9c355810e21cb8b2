"""Language models inside compiled programs: their losses by task, and what is measured of them."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rare_retention.models import vocabulary
from rare_retention.models.architecture import LAYER_WEIGHTS, Architecture, Compute
from rare_retention.models.language_model import LanguageModel
from rare_retention.settings.protocol import Array, Params, Precision
from rare_retention.settings.scoring import prompted, scores
from rare_retention.settings.stacks import Stacks
from rare_retention.tasks.injected import LENGTH

Batch = dict[str, jax.Array]
"""tokens [B, T]; task of each slot [B, slots], 0 where it is left to the text."""


class Numbers(NamedTuple):
    """What the models are asked, as arguments of the traced methods.

    Attributes:
        train: instances of each injected task's training half that are evaluated, int32 [n, 3].
        test: of its test half.
        text: held-out windows, int32 [H, T].
        prompts: tokens, numbers and right ones of each pattern, see `tasks.natural.Prompts`.
    """

    train: tuple[Array, ...]
    test: tuple[Array, ...]
    text: Array
    prompts: tuple[tuple[Array, Array, Array], ...]


@dataclass(frozen=True, kw_only=True)
class TracedLanguage:
    """Language models of several sizes; implements `Traced`.

    Attributes:
        shapes: group of students and what they are, from small to large.
        compute: how the models are computed.
        initialisations: models of each size.
        window: T.
        per_sequence: slots of a sequence.
        tasks: K, the text among them.
        watch_ids: watched tasks.
        rarest: of them.
        block_labels: parts of the weights on which gradients are compared.
        neurons: neurons of the first layer on which they are compared.
    """

    shapes: tuple[tuple[str, Architecture], ...]
    compute: Compute
    initialisations: int
    window: int
    per_sequence: int
    tasks: int
    watch_ids: tuple[int, ...]
    rarest: int
    block_labels: tuple[str, ...]
    neurons: int

    @property
    def finest_precision(self) -> Precision:
        """That of the activations."""
        return self.compute.dtype

    @cached_property
    def _stacks(self) -> Stacks:
        def draw(shape: Architecture, initialisation: jax.typing.ArrayLike) -> LanguageModel:
            seed = jax.random.key(np.uint32(shape.parameters % 2**32), impl="threefry2x32")
            key = jax.random.fold_in(seed, initialisation)
            return shape.build(self.compute, nnx.Rngs(key))

        draws = {group: partial(draw, shape) for group, shape in self.shapes}
        return Stacks(draws, self.initialisations)

    def init(self, draw: jax.typing.ArrayLike) -> Params:
        """Initial weights of all models, by AI2's "mitchell" rule."""
        return self._stacks.init(draw)

    def partition(self) -> Params:
        """Partition of every leaf of `init` over the mesh."""
        return self._stacks.partition()

    def shares(self, batch: Batch) -> jax.Array:
        """Share of each task in the targets of a batch, [K]."""
        return self._owners(batch).mean((0, 1)) * self.window / (self.window - 1)

    def _owners(self, batch: Batch) -> jax.Array:
        """Which task each position's target belongs to, one-hot [B, T, K]; the last has none.

        Every token of an instance belongs to its task: an instance at the start of a sequence has
        the targets TOK2, LABEL and the end of the document, a later one its TOK1 too.
        """
        length = batch["tokens"].shape[1]
        filled = jnp.repeat(batch["task"], LENGTH, axis=1)
        owner = jnp.pad(filled, ((0, 0), (0, length - filled.shape[1])))
        targets = jax.nn.one_hot(owner[:, 1:], self.tasks)
        return jnp.pad(targets, ((0, 0), (0, 1), (0, 0)))

    def losses(
        self, params: Params, batch: Batch, key: jax.Array, numbers: Numbers
    ) -> dict[str, jax.Array]:
        """Mean cross-entropy of the targets of a batch, split by task; the key has no use."""
        tokens, owners = batch["tokens"].astype(jnp.int32), self._owners(batch)
        targets = jnp.roll(tokens, -1, axis=1)
        terms = tokens.shape[0] * (tokens.shape[1] - 1)

        def by_task(model: LanguageModel) -> jax.Array:
            each = vocabulary.token_losses(model(tokens), model.readout, targets)
            return jnp.einsum("bt,btk->k", each, owners) / terms

        return self._stacks.map(by_task, params)

    def watched_losses(
        self, params: Params, batch: Batch, key: jax.Array, numbers: Numbers
    ) -> dict[str, jax.Array]:
        """Contributions of the watched tasks, [R, len(watch)], from the prefix of their slots.

        Attention is causal: the losses of instances at the start of a sequence depend on nothing
        behind them, so that neither do their gradients.
        """
        prefix = LENGTH * self.per_sequence
        tokens = batch["tokens"][:, :prefix].astype(jnp.int32)
        owners = self._owners(batch)[:, : prefix - 1]
        terms = tokens.shape[0] * (self.window - 1)
        mine = owners[:, :, jnp.asarray(self.watch_ids)]

        def by_task(model: LanguageModel) -> jax.Array:
            hidden = model(tokens)[:, :-1]
            each = vocabulary.token_losses(hidden, model.readout, tokens[:, 1:])
            return jnp.einsum("bt,btk->k", each, mine) / terms

        return self._stacks.map(by_task, params)

    def blocks(self, gradient: Any) -> dict[str, Any]:
        """Embeddings, and each kind of weight of each layer."""
        layers = gradient["layers"]
        found = {name: gradient[name] for name in ("embedding", "unembedding")}
        for name in LAYER_WEIGHTS:
            for i in range(layers[name].shape[1]):
                found[f"layer {i} {name}"] = layers[name][:, i]
        return found

    def selections(self, gradient: Any, reference: Any) -> dict[str, Any]:
        """The task neurons of the first layer."""
        kept = _task_neurons(_first_layer(reference), self.neurons)
        own = _first_layer(gradient)
        return {
            "neurons": {
                "gate_up": jnp.take_along_axis(own["gate_up"], kept[:, None, None, :], axis=3),
                "down": jnp.take_along_axis(own["down"], kept[:, :, None], axis=1),
            }
        }

    def reference(self, params: Params, numbers: Numbers) -> dict[str, jax.Array]:
        """Loss of the watched tasks, [R, len(watch)] for each size, as `loss` in `probe`."""

        def one(model: LanguageModel) -> jax.Array:
            asked = [numbers.train[k - 1] for k in self.watch_ids]
            return jnp.stack([_evaluate(model, tokens)[0] for tokens in asked])

        return self._stacks.map(one, params)

    def probe(self, params: Params, numbers: Numbers) -> dict[str, dict[str, jax.Array]]:
        """Values of `measures` for each size, each with a leading student axis."""

        def one(model: LanguageModel) -> dict[str, jax.Array]:
            found = {}
            text = scores(model, numbers.text, first=1)
            for prefix, half in (("", numbers.train), ("test_", numbers.test)):
                results = [text, *(_evaluate(model, tokens) for tokens in half)]
                found[f"{prefix}loss"] = jnp.stack([loss for loss, _ in results])
                found[f"{prefix}accuracy"] = jnp.stack([right for _, right in results])
            if numbers.prompts:
                asked = [prompted(model, *pattern) for pattern in numbers.prompts]
                found["reference_loss"] = jnp.stack(asked)
            return found

        return self._stacks.map(one, params)


def _evaluate(model: LanguageModel, tokens: Array) -> tuple[jax.Array, jax.Array]:
    """Mean loss and top-1 accuracy of the labels of instances [n, 3]."""
    return scores(model, tokens, first=2)


def _first_layer(gradient: Any) -> dict[str, jax.Array]:
    """What a gradient has on the neurons of the first layer."""
    return {name: gradient["layers"][name][:, 0] for name in ("gate_up", "down")}


def _task_neurons(gradient: dict[str, jax.Array], most: int) -> jax.Array:
    """The min(most, M) neurons on whose weights a gradient is largest, for each student.

    Args:
        gradient: on gate_up [R, D, 2, M] and down [R, M, D] of one layer.
        most: neurons that are kept, of M.
    """
    size = jnp.square(gradient["gate_up"]).sum((1, 2)) + jnp.square(gradient["down"]).sum(-1)
    return jax.lax.top_k(size, min(most, size.shape[-1]))[1]
