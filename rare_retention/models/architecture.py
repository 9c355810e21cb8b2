"""What a language model is and how it is computed, as configs: no accelerator library is needed."""

import abc
import importlib
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rare_retention.config import ConfigError, Positive, config
from rare_retention.models.layouts import Layout
from rare_retention.registry import Registry
from rare_retention.settings.matrix import Matrix
from rare_retention.settings.quantity import Quantity

if TYPE_CHECKING:
    from flax import nnx

Path = Literal["auto", "blocked", "xla", "cudnn", "splash"]
"""Ways of computing attention, see `models.attention.attend`."""

LANES = 128
"""Width of a TPU's vector unit: splash attention wants windows in whole multiples of it."""

HEAD_ROWS = 8
"""Splash attention wants heads in whole multiples of so many dimensions."""


@config
class Architecture(abc.ABC):
    """Shape of a transformer: what all architectures have, and what each says of itself.

    A new one is two files: this class's heir with its `Design` and published layouts, in a module
    whose name ends in `_shape`, and a `LanguageModel`.

    Attributes:
        layers: L.
        hidden: D, width of the residual stream.
        mlp: M, both halves of the SwiGLU, "MLP dim" in the paper.
        heads: H; each has D / H dimensions, an even number.
        vocabulary: V, rows of an embedding.
        norm_epsilon: added to the variance.
        rope_theta: base of the rotary wavelengths.
    """

    layers: Positive
    hidden: Positive
    mlp: Positive
    heads: Positive
    vocabulary: Positive = 50_304
    norm_epsilon: float = 1e-5
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        if self.hidden % self.heads or self.hidden // self.heads % 2:
            raise ConfigError(
                "heads", f"{self.heads} do not cut hidden = {self.hidden} into even dimensions"
            )
        if self.mlp % 2:
            raise ConfigError("mlp", f"counts both halves; expected an even number, got {self.mlp}")

    @property
    @abc.abstractmethod
    def kind(self) -> str:
        """Models of this shape are published as this `model_type`."""

    @property
    @abc.abstractmethod
    def layer_parameters(self) -> int:
        """Parameters of one layer's matrices."""

    @property
    @abc.abstractmethod
    def norm_parameters(self) -> int:
        """Parameters of all norms."""

    @property
    @abc.abstractmethod
    def layer_weights(self) -> tuple[str, ...]:
        """Names of all weights of a layer, in the order in which a token meets them."""

    @property
    @abc.abstractmethod
    def other_weights(self) -> tuple[str, ...]:
        """Names of all weights outside the layers: embedding, unembedding if any, norm if any."""

    @property
    @abc.abstractmethod
    def neuron_axes(self) -> dict[str, int]:
        """Weight of a layer -> its axis along which the MLP's neurons stand, without that of L."""

    @property
    def matrices(self) -> dict[str, Matrix]:
        """Weight of a layer -> its matrices, which Muon trains; by default none."""
        return {}

    @property
    def recorded(self) -> dict[str, Quantity]:
        """Name of all that models of this shape put beside their outputs, and what it is."""
        return {}

    @abc.abstractmethod
    def build(self, compute: "Compute", rngs: "nnx.Rngs") -> Any:
        """A `models.language_model.LanguageModel` of this shape, freshly drawn.

        Args:
            compute: how it is computed.
            rngs: its `params` stream seeds the weights.
        """

    @staticmethod
    @abc.abstractmethod
    def published() -> dict[str, Layout]:
        """`model_type` in `config.json` -> how models of this class are published under it."""

    @property
    def head_size(self) -> int:
        """C, dimensions of one head."""
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """All parameters, embeddings included: N in the paper's table."""
        words = 2 if "unembedding" in self.other_weights else 1
        body = self.layers * self.layer_parameters + self.norm_parameters
        return body + words * self.vocabulary * self.hidden

    def flops_per_token(self, window: int) -> float:
        """Floating-point operations of training on one token, forward and backward.

        Six for each weight of a matrix product (the input embedding is none), and causal attention
        counted at half: 6 T D a layer.
        """
        products = self.layers * self.layer_parameters + self.vocabulary * self.hidden
        return 6.0 * products + 6.0 * self.layers * window * self.hidden


DESIGNS = Registry("architecture")


class Design(Protocol):
    """What an architecture is but for its dimensions: a config, added under `@DESIGNS.add`."""

    @property
    def kind(self) -> str:
        """Tag in a config tree."""

    def shape(
        self, *, layers: int, hidden: int, mlp: int, heads: int, vocabulary: int
    ) -> Architecture:
        """The architecture of these dimensions, see `Architecture`.

        Raises:
            ConfigError: they do not fit together.
        """


def code(module: str) -> Any:
    """The module of `rare_retention.models` that computes a shape, loaded when first asked for.

    By its name: it imports the shapes, and those are read without an accelerator library.
    """
    return importlib.import_module(f"rare_retention.models.{module}")


@config
class Compute:
    """How a transformer is computed; no part of what it is.

    Attributes:
        dtype: of activations and matrix products; weights are kept in float32.
        attention: path of the attention, see `models.attention`.
        remat: what the backward pass computes again instead of keeping it: "none"; "attention", all
            but what attention returns, so that scores are not computed one more time (by blocks
            and by splash; the others need them all the same); "dots", all but that and products
            with weights; "full", whole layers.
        unroll: layers in one turn of the loop over layers.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: Path = "auto"
    remat: Literal["none", "dots", "attention", "full"] = "none"
    unroll: Positive = 1


def check_path(path: Path, length: int, size: int, dtype: str) -> None:
    """Checks that a path can be had at all, on whatever device.

    Raises:
        ConfigError: naming `attention`.
    """
    if path == "cudnn" and dtype == "float32":
        raise ConfigError("attention", "cudnn has no float32; expected dtype bfloat16, or auto")
    if path == "splash" and length % LANES:
        raise ConfigError(
            "attention", f"splash wants windows in multiples of {LANES}, got {length}; try auto"
        )
    if path == "cudnn" and (size % 8 or size > 128):
        raise ConfigError(
            "attention", f"cudnn wants heads of 8, 16, ... 128 dimensions, got {size}; try auto"
        )
