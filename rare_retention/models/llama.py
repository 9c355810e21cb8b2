"""The transformer of OLMo 2 and of Llama: no biases, SwiGLU, RMSNorm, grouped queries.

Checked against transformers' `olmo2` and `llama`.
"""

import jax
from flax import nnx

from rare_retention.models.architecture import Compute, Path
from rare_retention.models.attention import attend
from rare_retention.models.language_model import LanguageModel, Layer, stacked
from rare_retention.models.llama_shape import LlamaShape
from rare_retention.models.transformer import (
    join_heads,
    normal,
    ones,
    project,
    project_parts,
    rms_norm,
    rotate,
    sequence_minor,
    swiglu,
)
from rare_retention.parallel import constrain

_STD = 0.02


class LlamaLayer(Layer):
    """Attention and SwiGLU, each added to the residual stream, with a norm before or behind it.

    Attributes:
        q: queries [D, H, C].
        kv: keys and values [D, 2, K, C].
        out: attention's way back [H, C, D].
        gate_up: SwiGLU's gate and what it gates [D, 2, M / 2].
        down: SwiGLU's way back [M / 2, D].
        query_norm: scales of the queries [H, C], where there is such a norm.
        key_norm: scales of the keys [K, C].
        attention_norm: scales of attention's norm [D].
        mlp_norm: scales of the SwiGLU's norm [D].
    """

    def __init__(self, shape: LlamaShape, *, rngs: nnx.Rngs) -> None:
        """Draws the weights: normal, of deviation 0.02, cut off at three times that.

        So AI2 starts OLMo 2, at every depth and width (`init_std` and `init_cutoff_factor` in its
        published configs; arXiv:2501.00656). For Llama it is the default of transformers'
        `initializer_range`.

        Args:
            shape: of the model.
            rngs: its `params` stream seeds the weights.
        """
        d, m, h, c = shape.hidden, shape.mlp // 2, shape.heads, shape.head_size
        k = shape.key_heads
        # A mesh may cut heads in more pieces than there are groups, of which each then has all.
        self.groups = "heads" if k == h else None
        self.shape = shape
        self.q = normal(rngs, (d, h, c), _STD, ("embed", "heads", None))
        self.kv = normal(rngs, (d, 2, k, c), _STD, ("embed", None, self.groups, None))
        self.out = normal(rngs, (h, c, d), _STD, ("heads", None, "embed"))
        self.gate_up = normal(rngs, (d, 2, m), _STD, ("embed", None, "mlp"))
        self.down = normal(rngs, (m, d), _STD, ("mlp", "embed"))
        if shape.query_key_norm:
            self.query_norm = ones((h, c), ("heads", None))
            self.key_norm = ones((k, c), (self.groups, None))
        self.attention_norm, self.mlp_norm = ones((d,)), ones((d,))

    def attention(self, x: jax.Array, path: Path) -> jax.Array:
        """What attention adds to the residual stream `x`, [B, T, D]."""
        shape = self.shape
        if not shape.reordered_norm:
            x = rms_norm(x, self.attention_norm[...], shape.norm_epsilon)
        q = project(x, self.q[...], "heads", sequence_minor)
        k, v = project_parts(x, self.kv[...], "heads", sequence_minor)
        if shape.query_key_norm:
            q = rms_norm(q, self.query_norm[...], shape.norm_epsilon)
            k = rms_norm(k, self.key_norm[...], shape.norm_epsilon)
        q = constrain(q, "batch", None, "heads", None)
        k, v = (constrain(x, "batch", None, self.groups, None) for x in (k, v))
        q, k = rotate(q, shape.rope_theta), rotate(k, shape.rope_theta)
        added = join_heads(attend(path, q, k, v), self.out[...])
        if shape.reordered_norm:
            added = rms_norm(added, self.attention_norm[...], shape.norm_epsilon)
        return added

    def mlp(self, x: jax.Array) -> jax.Array:
        """What the SwiGLU adds to the residual stream `x`, [B, T, D]."""
        weight, epsilon = self.mlp_norm[...], self.shape.norm_epsilon
        if self.shape.reordered_norm:
            return rms_norm(swiglu(x, self.gate_up[...], self.down[...]), weight, epsilon)
        return swiglu(rms_norm(x, weight, epsilon), self.gate_up[...], self.down[...])


class LlamaModel(LanguageModel):
    """A decoder-only language model.

    Attributes:
        embedding: of input tokens [V, D].
        unembedding: of output tokens [V, D], unless they are the input's.
        layers: all layers, every weight with a leading axis of L.
        final_norm: scales of the last norm [D].
    """

    shape: LlamaShape

    def __init__(self, shape: LlamaShape, compute: Compute, *, rngs: nnx.Rngs) -> None:
        """Draws the weights, see `LlamaLayer`.

        Args:
            shape: of the model.
            compute: how it is computed.
            rngs: its `params` stream seeds the weights.
        """
        self.shape, self.compute = shape, compute
        words = (shape.vocabulary, shape.hidden)
        self.embedding = normal(rngs, words, _STD, ("vocab", "embed"))
        if not shape.tied:
            self.unembedding = normal(rngs, words, _STD, ("vocab", "embed"))

        def draw(rngs: nnx.Rngs, index: jax.Array) -> LlamaLayer:
            return LlamaLayer(shape, rngs=rngs)

        self.layers = stacked(draw, shape.layers, rngs)
        self.final_norm = ones((shape.hidden,))

    @property
    def readout(self) -> jax.Array:
        """Output tokens [V, D]: the input's embedding where the two are tied."""
        return self.embedding[...] if self.shape.tied else self.unembedding[...]

    def normalise(self, x: jax.Array) -> jax.Array:
        """The residual stream after the last layer [B, T, D] as `readout` reads it."""
        return rms_norm(x, self.final_norm[...], self.shape.norm_epsilon)
