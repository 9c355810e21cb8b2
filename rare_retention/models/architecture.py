"""What an OLMo is and how it is computed, as configs: neither needs an accelerator library."""

from typing import Literal

from rare_retention.config import ConfigError, config

Path = Literal["auto", "blocked", "xla", "cudnn", "splash"]
"""Ways of computing attention, see `models.attention.attend`."""

LANES = 128
"""Width of a TPU's vector unit: splash attention wants whole multiples of it."""

LAYER_WEIGHTS = ("qkv", "out", "gate_up", "down")
"""Names of the matrices of a layer."""


@config
class Architecture:
    """Shape of an OLMo; the defaults but for the sizes are those of OLMo-7B-0724 (paper App. B.2).

    Attributes:
        layers: L.
        hidden: D, width of the residual stream.
        mlp: both halves of the SwiGLU, "MLP dim" in the paper.
        heads: H; each has D / H dimensions, an even number.
        vocabulary: rows of each of the two embeddings.
        clip_qkv: queries, keys and values are clipped to its negative and itself; None leaves them.
        norm: "layer", LayerNorm without parameters; or "rms", RMSNorm with a weight.
        norm_epsilon: added to the variance.
        rope_theta: base of the rotary wavelengths.
    """

    layers: int
    hidden: int
    mlp: int
    heads: int
    vocabulary: int = 50_304
    clip_qkv: float | None = 8.0
    norm: Literal["layer", "rms"] = "layer"
    norm_epsilon: float = 1e-5
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "mlp", "heads", "vocabulary"):
            if getattr(self, name) < 1:
                raise ConfigError(name, f"expected at least 1, got {getattr(self, name)}")
        if self.hidden % self.heads or self.hidden // self.heads % 2:
            raise ConfigError(
                "heads", f"{self.heads} do not cut hidden = {self.hidden} into even dimensions"
            )
        if self.mlp % 2:
            raise ConfigError("mlp", f"counts both halves; expected an even number, got {self.mlp}")

    @property
    def head_size(self) -> int:
        """Dimensions of one head."""
        return self.hidden // self.heads

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer's matrices: attention 4 D^2, SwiGLU 1.5 D M."""
        return 4 * self.hidden**2 + self.hidden * self.mlp + self.mlp // 2 * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters, embeddings included: N in the paper's table."""
        norms = (2 * self.layers + 1) * self.hidden if self.norm == "rms" else 0
        body = self.layers * self.layer_parameters + norms
        return body + 2 * self.vocabulary * self.hidden

    def flops_per_token(self, window: int) -> float:
        """Floating-point operations of training on one token, forward and backward.

        Six for each weight of a matrix product (the input embedding is none), and causal attention
        counted at half: 6 T D a layer.
        """
        products = self.layers * self.layer_parameters + self.vocabulary * self.hidden
        return 6.0 * products + 6.0 * self.layers * window * self.hidden


@config
class Compute:
    """How a transformer is computed; no part of what it is.

    Attributes:
        dtype: of activations and matrix products; weights are kept in float32.
        attention: path of the attention, see `models.attention`.
        remat: what the backward pass computes again instead of keeping it: "none"; "dots", all but
            matrix products; "full", whole layers.
        unroll: layers in one turn of the loop over layers.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: Path = "auto"
    remat: Literal["none", "dots", "full"] = "none"
    unroll: int = 1

    def __post_init__(self) -> None:
        if self.unroll < 1:
            raise ConfigError("unroll", f"expected at least 1, got {self.unroll}")


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
