"""The transformer of AI2's OLMo (2024): no biases, SwiGLU, rotary positions, untied embeddings."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rare_retention.models.architecture import Architecture, Compute, Path
from rare_retention.models.attention import attend
from rare_retention.parallel import constrain, shards


class Layer(nnx.Module):
    """Attention and SwiGLU, each added to the residual stream after a norm of its own.

    Attributes:
        qkv: queries, keys and values [D, 3, H, C].
        out: attention's way back [H, C, D].
        gate_up: SwiGLU's gate and what it gates [D, 2, M / 2].
        down: SwiGLU's way back [M / 2, D].
    """

    def __init__(self, shape: Architecture, index: jax.Array, *, rngs: nnx.Rngs) -> None:
        """Draws the weights by AI2's "mitchell" rule: output matrices shrink with depth.

        Args:
            shape: of the model.
            index: of the layer, from 0.
            rngs: its `params` stream seeds the weights.
        """
        d, m, h, c = shape.hidden, shape.mlp // 2, shape.heads, shape.head_size
        depth = 1 / jnp.sqrt(2.0 * (index.astype(jnp.float32) + 1))
        self.shape = shape
        self.qkv = _matrix(rngs, (d, 3, h, c), d**-0.5, ("embed", None, "heads", None))
        self.out = _matrix(rngs, (h, c, d), depth * d**-0.5, ("heads", None, "embed"))
        self.gate_up = _matrix(rngs, (d, 2, m), d**-0.5, ("embed", None, "mlp"))
        self.down = _matrix(rngs, (m, d), depth * m**-0.5, ("mlp", "embed"))
        if shape.norm == "rms":
            self.attention_norm = nnx.Param(jnp.ones(d), out_sharding=(None,))
            self.mlp_norm = nnx.Param(jnp.ones(d), out_sharding=(None,))

    def __call__(self, x: jax.Array, path: Path) -> jax.Array:
        """The residual stream after this layer, [B, T, D], in the type of `x`."""
        x = x + self.attention(x, path)
        return x + self.swiglu(x)

    def attention(self, x: jax.Array, path: Path) -> jax.Array:
        """What attention adds to the residual stream `x`, [B, T, D]."""
        with_norm = self.shape.norm == "rms"
        x = _norm(self.shape, x, self.attention_norm[...] if with_norm else None)
        qkv = _project(x, self.qkv[...], "heads")
        if self.shape.clip_qkv is not None:
            qkv = jnp.clip(qkv, -self.shape.clip_qkv, self.shape.clip_qkv)
        q, k, v = (constrain(qkv[:, :, i], "batch", None, "heads", None) for i in range(3))
        q, k = rotate(q, self.shape.rope_theta), rotate(k, self.shape.rope_theta)
        attended = attend(path, q, k, v)
        out = self.out[...].reshape(-1, x.shape[-1])
        return _project(attended.reshape(*x.shape[:2], -1), out, "heads")

    def swiglu(self, x: jax.Array) -> jax.Array:
        """What the MLP adds to the residual stream `x`, [B, T, D]."""
        with_norm = self.shape.norm == "rms"
        x = _norm(self.shape, x, self.mlp_norm[...] if with_norm else None)
        both = _project(x, self.gate_up[...], "mlp")
        gate, up = (constrain(both[:, :, i], "batch", None, "mlp") for i in range(2))
        return _project(jax.nn.silu(gate) * up, self.down[...], "mlp")


def _project(x: jax.Array, weight: jax.Array, axis: str) -> jax.Array:
    """x [B, T, D] times weight [D, ...], as [B, T, ...] in the type of `x`.

    Args:
        x: activations.
        weight: of a matrix product, in float32.
        axis: logical axis of the weight that the mesh may cut.
    """
    weight = weight.astype(x.dtype)
    if shards(axis) > 1:  # one matrix would join axes that the mesh keeps apart
        return jnp.tensordot(x, weight, 1)
    flat = x.reshape(-1, x.shape[-1]) @ weight.reshape(x.shape[-1], -1)
    return flat.reshape(*x.shape[:2], *weight.shape[1:])


class Olmo(nnx.Module):
    """A decoder-only language model.

    Attributes:
        embedding: of input tokens [V, D].
        layers: all layers, every weight with a leading axis of L.
        unembedding: of output tokens [V, D].
    """

    def __init__(self, shape: Architecture, compute: Compute, *, rngs: nnx.Rngs) -> None:
        """Draws the weights.

        Args:
            shape: of the model.
            compute: how it is computed.
            rngs: its `params` stream seeds the weights.
        """
        self.shape, self.compute = shape, compute
        words, std = (shape.vocabulary, shape.hidden), shape.hidden**-0.5
        self.embedding = _matrix(rngs, words, std, ("vocab", "embed"))
        self.unembedding = _matrix(rngs, words, std, ("vocab", "embed"))

        @nnx.vmap(in_axes=(0, 0), transform_metadata={nnx.PARTITION_NAME: "layers"})
        def stack(rngs: nnx.Rngs, index: jax.Array) -> Layer:
            return Layer(shape, index, rngs=rngs)

        self.layers = stack(rngs.split(shape.layers), jnp.arange(shape.layers))
        if shape.norm == "rms":
            self.final_norm = nnx.Param(jnp.ones(shape.hidden), out_sharding=(None,))

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Normalised residual stream [B, T, D] from which `unembedding` reads the next token.

        Args:
            tokens: ids, int [B, T].
        """
        graph, weights = nnx.split(self.layers)
        path = self.compute.attention

        def layer(x: jax.Array, own: Any) -> tuple[jax.Array, None]:
            return constrain(nnx.merge(graph, own)(x, path), "batch", None, None), None

        x, _ = jax.lax.scan(
            _remat(layer, self.compute.remat),
            self.embed(tokens),
            weights,
            unroll=min(self.compute.unroll, self.shape.layers),
        )
        return self.normalise(x)

    def embed(self, tokens: jax.Array) -> jax.Array:
        """The residual stream before the first layer, [B, T, D]."""
        x = self.embedding[...].astype(self.compute.dtype)[tokens]
        return constrain(x, "batch", None, None)

    def normalise(self, x: jax.Array) -> jax.Array:
        """The residual stream after the last layer [B, T, D] as `unembedding` reads it."""
        return _norm(self.shape, x, self.final_norm[...] if self.shape.norm == "rms" else None)


def rotate(x: jax.Array, theta: float) -> jax.Array:
    """Rotary positions: halves of each head turned against each other, in float32.

    Args:
        x: queries or keys [B, T, H, C].
        theta: base of the wavelengths theta^(2 i / C).
    """
    length, size = x.shape[1], x.shape[-1]
    frequency = 1.0 / theta ** (jnp.arange(0, size, 2, dtype=jnp.float32) / size)
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency[None]
    sin, cos = jnp.sin(angle)[None, :, None], jnp.cos(angle)[None, :, None]
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def _norm(shape: Architecture, x: jax.Array, weight: jax.Array | None) -> jax.Array:
    """The norm over the last axis, in float32."""
    wide = x.astype(jnp.float32)
    if weight is None:
        wide = wide - wide.mean(-1, keepdims=True)
    wide = wide * jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + shape.norm_epsilon)
    return (wide if weight is None else wide * weight[None, None]).astype(x.dtype)


def _matrix(
    rngs: nnx.Rngs, size: tuple[int, ...], std: Any, axes: tuple[str | None, ...]
) -> nnx.Param[jax.Array]:
    """Normal weights of that standard deviation before they are cut off at three of them."""
    draw = jax.random.truncated_normal(rngs.params(), -3.0, 3.0, size)
    return nnx.Param(draw * std, out_sharding=axes)


def _remat(layer: Any, remat: str) -> Any:
    if remat == "none":
        return layer
    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable if remat == "dots" else None
    return jax.checkpoint(layer, policy=policy, prevent_cse=False)
