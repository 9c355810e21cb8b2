"""Transformers of several sizes, stacked by size; the family of the language-model setting."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rare_retention.models.architecture import LAYER_WEIGHTS, Architecture, Compute
from rare_retention.settings.family import WHOLE, Family, Precision
from rare_retention.settings.student import Student

if TYPE_CHECKING:
    import jax

    from rare_retention.models.olmo import Olmo

NEURONS = "neurons"
"""Name of the block of the first layer's neurons that have most to do with a task."""


@dataclass(frozen=True, kw_only=True)
class Transformers(Family):
    """Decoder-only language models of several sizes.

    Attributes:
        shapes: name and shape of each size, from small to large.
        initialisations: models of each size.
        compute: how they are computed.
        window: T, tokens of a training sequence.
        neurons: K, neurons of the first layer's SwiGLU on which gradients are compared.
    """

    shapes: tuple[tuple[str, Architecture], ...]
    initialisations: int
    compute: Compute
    window: int
    neurons: int

    @cached_property
    def architectures(self) -> dict[str, Architecture]:
        """Group of students -> what they are, from small to large."""
        return {_group(shape): shape for _, shape in self.shapes}

    @property
    def models(self) -> tuple[Student, ...]:
        """One of each size."""
        return tuple(
            Student(_group(shape), name, shape.hidden, shape.parameters)
            for name, shape in self.shapes
        )

    def draw(self, model: Student, initialisation: "jax.typing.ArrayLike") -> "Olmo":
        """A model whose draw depends on its number of weights and initialisation alone."""
        import jax
        from flax import nnx

        from rare_retention.models.olmo import Olmo

        seed = jax.random.key(np.uint32(model.parameters % 2**32), impl="threefry2x32")
        rngs = nnx.Rngs(jax.random.fold_in(seed, initialisation))
        return Olmo(self.architectures[model.group], self.compute, rngs=rngs)

    def flops(self, rows: int) -> dict[int | str, float]:
        """Matrix products, forward and backward, causal attention at half."""
        tokens = rows * self.window
        return {name: tokens * shape.flops_per_token(self.window) for name, shape in self.shapes}

    @property
    def finest_precision(self) -> Precision:
        """That of the activations."""
        return self.compute.dtype

    @property
    def block_labels(self) -> tuple[str, ...]:
        """Embeddings, each kind of weight of each layer of the deepest model, task neurons."""
        layers = max(shape.layers for _, shape in self.shapes)
        kinds = [f"layer {i} {name}" for i in range(layers) for name in LAYER_WEIGHTS]
        return ("embedding", *kinds, "unembedding", NEURONS, WHOLE)

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
        import jax.numpy as jnp

        kept = _task_neurons(_first_layer(reference), self.neurons)
        own = _first_layer(gradient)
        return {
            NEURONS: {
                "gate_up": jnp.take_along_axis(own["gate_up"], kept[:, None, None, :], axis=3),
                "down": jnp.take_along_axis(own["down"], kept[:, :, None], axis=1),
            }
        }


def _group(shape: Architecture) -> str:
    return f"size_{shape.parameters:013d}"  # JAX sorts the keys of a dict: padded names sort too


def _first_layer(gradient: Any) -> dict[str, "jax.Array"]:
    """What a gradient has on the neurons of the first layer."""
    return {name: gradient["layers"][name][:, 0] for name in ("gate_up", "down")}


def _task_neurons(gradient: dict[str, "jax.Array"], most: int) -> "jax.Array":
    """The min(most, M) neurons on whose weights a gradient is largest, for each student.

    Args:
        gradient: on gate_up [R, D, 2, M] and down [R, M, D] of one layer.
        most: neurons that are kept, of M.
    """
    import jax
    import jax.numpy as jnp

    size = jnp.square(gradient["gate_up"]).sum((1, 2)) + jnp.square(gradient["down"]).sum(-1)
    return jax.lax.top_k(size, min(most, size.shape[-1]))[1]
