"""The transformer of AI2's OLMo (2024): no biases, SwiGLU, rotary positions, untied embeddings."""

import jax
import jax.numpy as jnp
from flax import nnx

from rare_retention.models.architecture import Compute, Path
from rare_retention.models.attention import attend
from rare_retention.models.language_model import LanguageModel, Layer, stacked
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.models.transformer import (
    join_heads,
    layer_norm,
    normal,
    ones,
    project_parts,
    rms_norm,
    rotate,
    sequence_minor,
    swiglu,
)
from rare_retention.parallel import constrain


class OlmoLayer(Layer):
    """Attention and SwiGLU, each added to the residual stream after a norm of its own.

    Attributes:
        qkv: queries, keys and values [D, 3, H, C].
        out: attention's way back [H, C, D].
        gate_up: SwiGLU's gate and what it gates [D, 2, M / 2].
        down: SwiGLU's way back [M / 2, D].
    """

    def __init__(self, shape: OlmoShape, index: jax.Array, *, rngs: nnx.Rngs) -> None:
        """Draws the weights by AI2's "mitchell" rule: output matrices shrink with depth.

        Args:
            shape: of the model.
            index: of the layer, from 0.
            rngs: its `params` stream seeds the weights.
        """
        d, m, h, c = shape.hidden, shape.mlp // 2, shape.heads, shape.head_size
        depth = 1 / jnp.sqrt(2.0 * (index.astype(jnp.float32) + 1))
        self.shape = shape
        self.qkv = normal(rngs, (d, 3, h, c), d**-0.5, ("embed", None, "heads", None))
        self.out = normal(rngs, (h, c, d), depth * d**-0.5, ("heads", None, "embed"))
        self.gate_up = normal(rngs, (d, 2, m), d**-0.5, ("embed", None, "mlp"))
        self.down = normal(rngs, (m, d), depth * m**-0.5, ("mlp", "embed"))
        if shape.norm == "rms":
            self.attention_norm = ones((d,))
            self.mlp_norm = ones((d,))

    def attention(self, x: jax.Array, path: Path) -> jax.Array:
        """What attention adds to the residual stream `x`, [B, T, D]."""
        with_norm = self.shape.norm == "rms"
        x = _norm(self.shape, x, self.attention_norm[...] if with_norm else None)
        h, c = self.shape.heads, self.shape.head_size
        # Heads side by side, for the clip keeps what it is given, and TPUs pad a short last axis.
        weight = self.qkv[...].reshape(-1, 3, h * c)
        parts = project_parts(x, weight, "heads", sequence_minor)
        if (most := self.shape.clip_qkv) is not None:
            parts = [jnp.clip(part, -most, most) for part in parts]
        apart = (part.reshape(*x.shape[:2], h, c) for part in parts)
        q, k, v = (constrain(each, "batch", None, "heads", None) for each in apart)
        q, k = rotate(q, self.shape.rope_theta), rotate(k, self.shape.rope_theta)
        return join_heads(attend(path, q, k, v), self.out[...])

    def mlp(self, x: jax.Array) -> jax.Array:
        """What the SwiGLU adds to the residual stream `x`, [B, T, D]."""
        with_norm = self.shape.norm == "rms"
        x = _norm(self.shape, x, self.mlp_norm[...] if with_norm else None)
        return swiglu(x, self.gate_up[...], self.down[...])


class OlmoModel(LanguageModel):
    """A decoder-only language model.

    Attributes:
        embedding: of input tokens [V, D].
        unembedding: of output tokens [V, D].
        layers: all layers, every weight with a leading axis of L.
    """

    shape: OlmoShape

    def __init__(self, shape: OlmoShape, compute: Compute, *, rngs: nnx.Rngs) -> None:
        """Draws the weights.

        Args:
            shape: of the model.
            compute: how it is computed.
            rngs: its `params` stream seeds the weights.
        """
        self.shape, self.compute = shape, compute
        words, std = (shape.vocabulary, shape.hidden), shape.hidden**-0.5
        self.embedding = normal(rngs, words, std, ("vocab", "embed"))
        self.unembedding = normal(rngs, words, std, ("vocab", "embed"))

        def draw(rngs: nnx.Rngs, index: jax.Array) -> OlmoLayer:
            return OlmoLayer(shape, index, rngs=rngs)

        self.layers = stacked(draw, shape.layers, rngs)
        if shape.norm == "rms":
            self.final_norm = ones((shape.hidden,))

    @property
    def readout(self) -> jax.Array:
        """Output tokens [V, D]."""
        return self.unembedding[...]

    def normalise(self, x: jax.Array) -> jax.Array:
        """The residual stream after the last layer [B, T, D] as `readout` reads it."""
        return _norm(self.shape, x, self.final_norm[...] if self.shape.norm == "rms" else None)


def _norm(shape: OlmoShape, x: jax.Array, weight: jax.Array | None) -> jax.Array:
    """RMSNorm with a weight; LayerNorm without."""
    if weight is None:
        return layer_norm(x, shape.norm_epsilon)
    return rms_norm(x, weight, shape.norm_epsilon)
