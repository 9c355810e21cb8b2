"""Transformers of several sizes, stacked by size; the family of the language-model setting."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rare_retention.models.architecture import Architecture, Compute
from rare_retention.settings.family import WHOLE, Family, Precision
from rare_retention.settings.matrix import Matrix
from rare_retention.settings.student import Student

if TYPE_CHECKING:
    import jax

    from rare_retention.models.language_model import LanguageModel

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

    def draw(self, model: Student, initialisation: "jax.typing.ArrayLike") -> "LanguageModel":
        """A model whose draw depends on its number of weights and initialisation alone."""
        import jax
        from flax import nnx

        seed = jax.random.key(np.uint32(model.parameters % 2**32), impl="threefry2x32")
        rngs = nnx.Rngs(jax.random.fold_in(seed, initialisation))
        drawn: LanguageModel = self.architectures[model.group].build(self.compute, rngs)
        return drawn

    def flops(self, rows: int) -> dict[int | str, float]:
        """Matrix products, forward and backward, causal attention at half."""
        tokens = rows * self.window
        return {name: tokens * shape.flops_per_token(self.window) for name, shape in self.shapes}

    def matrix(self, name: str, axes: int) -> Matrix | None:
        """The matrices of the layers; embeddings and norms are none."""
        del axes
        place, _, weight = name.rpartition(".")
        return self.shapes[0][1].matrices.get(weight) if place == "layers" else None

    @property
    def finest_precision(self) -> Precision:
        """That of the activations."""
        return self.compute.dtype

    @property
    def block_labels(self) -> tuple[str, ...]:
        """Each weight outside the layers, each kind of weight of each layer, task neurons.

        Embeddings first, then layers up to those of the deepest model, then what comes after.
        """
        each = [shape for _, shape in self.shapes]
        outside = dict.fromkeys(name for shape in each for name in shape.other_weights)
        kinds = dict.fromkeys(name for shape in each for name in shape.layer_weights)
        layers = range(max(shape.layers for shape in each))
        first, *last = outside
        inside = [f"layer {i} {name}" for i in layers for name in kinds]
        return (first, *inside, *last, NEURONS, WHOLE)

    def blocks(self, gradient: Any) -> dict[str, Any]:
        """Each weight outside the layers, and each kind of weight of each layer."""
        found = {name: own for name, own in gradient.items() if name != "layers"}
        for name, own in gradient["layers"].items():
            for i in range(own.shape[1]):
                found[f"layer {i} {name}"] = own[:, i]
        return found

    def selections(self, gradient: Any, reference: Any) -> dict[str, Any]:
        """The task neurons of the first layer."""
        axes = self.shapes[0][1].neuron_axes
        kept = _task_neurons(_first_layer(reference, axes), axes, self.neurons)
        own = _first_layer(gradient, axes)
        return {NEURONS: {name: _neurons(leaf, kept, axes[name]) for name, leaf in own.items()}}


def _group(shape: Architecture) -> str:
    return f"size_{shape.parameters:013d}"  # JAX sorts the keys of a dict: padded names sort too


def _first_layer(gradient: Any, axes: dict[str, int]) -> dict[str, "jax.Array"]:
    """What a gradient has on the neurons of the first layer, [R, ...]."""
    return {name: gradient["layers"][name][:, 0] for name in axes}


def _neurons(leaf: "jax.Array", kept: "jax.Array", axis: int) -> "jax.Array":
    """Some neurons of a weight.

    Args:
        leaf: of one layer [R, ...].
        kept: which neurons, [R, k].
        axis: along which they stand, without that of students.
    """
    import jax.numpy as jnp

    shape = [1] * leaf.ndim
    shape[0], shape[axis + 1] = kept.shape
    return jnp.take_along_axis(leaf, kept.reshape(shape), axis=axis + 1)


def _task_neurons(gradient: dict[str, "jax.Array"], axes: dict[str, int], most: int) -> "jax.Array":
    """The min(most, M) neurons on whose weights a gradient is largest, [R, k].

    Args:
        gradient: on the weights of one layer's neurons, [R, ...] each.
        axes: along which the M neurons stand, without that of students.
        most: neurons that are kept.
    """
    import jax
    import jax.numpy as jnp

    def size(name: str, leaf: "jax.Array") -> "jax.Array":
        others = [axis for axis in range(1, leaf.ndim) if axis != axes[name] + 1]
        return jnp.square(leaf).sum(others)

    sizes = [size(name, leaf) for name, leaf in gradient.items()]
    total = sum(sizes[1:], start=sizes[0])
    return jax.lax.top_k(total, min(most, total.shape[-1]))[1]
