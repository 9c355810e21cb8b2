"""What scoring, representation and exchange ask of a language model, whatever its architecture."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rare_retention.models import vocabulary
from rare_retention.models.architecture import Architecture, Compute, Path
from rare_retention.models.attention import KEPT
from rare_retention.models.transformer import PRODUCT, row_major
from rare_retention.parallel import constrain


class Outputs(NamedTuple):
    """What a model makes of tokens.

    Attributes:
        hidden: normalised residual stream [B, T, D], from which the next token is read.
        apart: parts of the training loss that belong to no task, such as a router's balance:
            scalars by name.
        recorded: what is written down of a batch, by name.
    """

    hidden: jax.Array
    apart: dict[str, jax.Array]
    recorded: dict[str, jax.Array]


class Layer(nnx.Module):
    """Attention and MLP, each of which adds to the residual stream."""

    @abc.abstractmethod
    def attention(self, x: jax.Array, path: Path) -> jax.Array:
        """What attention adds to the residual stream `x`, [B, T, D], norms included."""

    @abc.abstractmethod
    def mlp(self, x: jax.Array) -> jax.Array:
        """What the MLP adds to the residual stream `x`, [B, T, D], norms included."""

    def __call__(self, x: jax.Array, path: Path) -> jax.Array:
        """The residual stream after this layer, [B, T, D], in the type of `x`."""
        x = x + self.attention(x, path)
        return x + self.mlp(x)


class LanguageModel(nnx.Module):
    """A decoder-only language model; the heirs draw the weights.

    Attributes:
        shape: of the model.
        compute: how it is computed.
        embedding: of input tokens [V, D].
        layers: all layers, every weight with a leading axis of L.
    """

    shape: Architecture
    compute: Compute
    embedding: nnx.Param[jax.Array]
    layers: Layer

    @property
    @abc.abstractmethod
    def readout(self) -> jax.Array:
        """Words against which the normalised stream is held [V, D]; tied: the input's own."""

    @abc.abstractmethod
    def normalise(self, x: jax.Array) -> jax.Array:
        """The residual stream after the last layer [B, T, D] as `readout` reads it."""

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Normalised residual stream [B, T, D] from which `readout` reads the next token.

        Args:
            tokens: ids, int [B, T].
        """
        return self.forward(tokens).hidden

    def forward(self, tokens: jax.Array) -> Outputs:
        """The stream as `__call__` returns it, and what an architecture has to say beside it.

        Args:
            tokens: ids, int [B, T].
        """
        path = self.compute.attention
        x, _ = self.run(self.embed(tokens), lambda layer, x: (layer(x, path), None))
        return Outputs(self.normalise(x), apart={}, recorded={})

    def run(
        self, x: jax.Array, step: Callable[[Any, jax.Array], tuple[jax.Array, Any]]
    ) -> tuple[jax.Array, Any]:
        """Passes a stream through all layers, in one loop that is compiled once.

        Args:
            x: residual stream before the first layer, [B, T, D].
            step: (layer, stream) -> stream after that layer, and arrays to be kept of it.

        Returns:
            The stream after the last layer; what was kept, with a leading axis of L.
        """
        graph, weights = nnx.split(self.layers)

        def layer(x: jax.Array, own: Any) -> tuple[jax.Array, Any]:
            after, kept = step(nnx.merge(graph, own), x)
            return row_major(constrain(after, "batch", None, None)), kept

        return jax.lax.scan(
            _remat(layer, self.compute.remat),
            x,
            weights,
            unroll=min(self.compute.unroll, self.shape.layers),
        )

    def embed(self, tokens: jax.Array) -> jax.Array:
        """The residual stream before the first layer, [B, T, D]."""
        return vocabulary.look_up(self.embedding[...], tokens, self.compute.dtype)

    def layer(self, index: int) -> Layer:
        """One layer alone.

        Args:
            index: from 0.
        """
        graph, weights = nnx.split(self.layers)
        return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[index], weights))


def stacked(draw: Callable[[nnx.Rngs, jax.Array], Layer], count: int, rngs: nnx.Rngs) -> Any:
    """Layers with all weights one above the other, as `LanguageModel.layers` has them.

    Args:
        draw: one layer, from its random streams and its index, int32 [].
        count: L.
        rngs: of which each layer has its own part.
    """
    stack = nnx.vmap(draw, in_axes=(0, 0), transform_metadata={nnx.PARTITION_NAME: "layers"})
    return stack(rngs.split(count), jnp.arange(count))


def _remat(layer: Any, remat: str) -> Any:
    if remat == "none":
        return layer
    policies = {
        "dots": jax.checkpoint_policies.save_only_these_names(PRODUCT, KEPT),
        "attention": jax.checkpoint_policies.save_only_these_names(KEPT),
        "full": None,
    }
    return jax.checkpoint(layer, policy=policies[remat], prevent_cse=False)
