"""Parts that transformers share: projections, norms, rotary positions, SwiGLU, initial weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.layout import Layout, with_layout_constraint

from rare_retention.models.architecture import LANES
from rare_retention.parallel import constrain, platform, shards

PRODUCT = "product"
"""Name of what weights make of activations, for policies of rematerialisation."""


def row_major(x: jax.Array) -> jax.Array:
    """Has a TPU keep `x` with its last axis in the lanes, if it fills them; else does nothing.

    Left to itself the compiler turns whole activations about to spare heads of less than 128
    dimensions their padding, and then copies them back and forth.
    """
    if platform() != "tpu" or x.shape[-1] < LANES:
        return x
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))


def sequence_minor(x: jax.Array) -> jax.Array:
    """Has a TPU keep `x` [B, T, ...] with positions in the lanes, if they fill them; else nothing.

    So splash attention reads queries, keys and values here: heads of less than 128 dimensions need
    no padding.
    """
    if platform() != "tpu" or x.shape[1] % LANES:
        return x
    return with_layout_constraint(x, Layout((0, *range(2, x.ndim), 1)))


def project(
    x: jax.Array,
    weight: jax.Array,
    axis: str,
    keep: Callable[[jax.Array], jax.Array] = row_major,
) -> jax.Array:
    """x [B, T, D] times weight [D, ...], as [B, T, ...] in the type of `x`.

    Args:
        x: activations.
        weight: float32; it is rounded to the type of `x` before the product.
        axis: logical name of a dimension of the weight, such as "heads", that the mesh may cut.
        keep: lays out the product, `row_major` or `sequence_minor`.
    """
    weight = weight.astype(x.dtype)
    if shards(axis) > 1:  # one matrix would join axes that the mesh keeps apart
        return checkpoint_name(jnp.tensordot(x, weight, 1), PRODUCT)
    flat = keep(jnp.tensordot(x, weight.reshape(x.shape[-1], -1), 1))
    return checkpoint_name(flat, PRODUCT).reshape(*x.shape[:2], *weight.shape[1:])


def project_parts(
    x: jax.Array,
    weight: jax.Array,
    axis: str,
    keep: Callable[[jax.Array], jax.Array] = row_major,
) -> list[jax.Array]:
    """x [B, T, D] times each weight[:, i] of [D, n, ...], as n arrays [B, T, ...].

    They come from one product, but never stand in one array [B, T, n, ...]: a TPU lays out the last
    two axes in tiles, and copied all of it to change from one view to the other.

    Args:
        x: activations.
        weight: float32; it is rounded to the type of `x` before the product.
        axis: logical name of a dimension of the weight, such as "heads", that the mesh may cut.
        keep: lays out the product, `row_major` or `sequence_minor`.
    """
    parts = weight.shape[1]
    if shards(axis) > 1:  # one matrix would join axes that the mesh keeps apart
        return [project(x, weight[:, i], axis, keep) for i in range(parts)]
    flat = project(x, weight.reshape(x.shape[-1], -1), axis, keep)
    return [
        part.reshape(*x.shape[:2], *weight.shape[2:]) for part in jnp.split(flat, parts, axis=-1)
    ]


def swiglu(x: jax.Array, gate_up: jax.Array, down: jax.Array) -> jax.Array:
    """The gated MLP of x [B, T, D].

    Args:
        x: activations.
        gate_up: the gate and what it gates [D, 2, M / 2].
        down: the way back [M / 2, D].
    """
    parts = project_parts(x, gate_up, "mlp")
    gate, up = (constrain(part, "batch", None, "mlp") for part in parts)
    return project(jax.nn.silu(gate) * up, down, "mlp")


def join_heads(attended: jax.Array, out: jax.Array) -> jax.Array:
    """Attention's way back to the stream, [B, T, D].

    Args:
        attended: [B, T, H, C].
        out: [H, C, D].
    """
    out = out.reshape(-1, out.shape[-1])
    return project(attended.reshape(*attended.shape[:2], -1), out, "heads")


def rotate(x: jax.Array, theta: float) -> jax.Array:
    """Rotary positions: halves of each head turned against each other, in float32.

    Args:
        x: queries or keys [B, T, H, C].
        theta: base of the wavelengths theta^(2 i / C).
    """
    length, size = x.shape[1], x.shape[-1]
    frequency = 1.0 / theta ** (jnp.arange(0, size, 2, dtype=jnp.float32) / size)
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency[None]
    if platform() == "tpu":
        return _rotate_whole(x, jnp.sin(angle), jnp.cos(angle))
    sin, cos = jnp.sin(angle)[None, :, None], jnp.cos(angle)[None, :, None]
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def _rotate_whole(x: jax.Array, sin: jax.Array, cos: jax.Array) -> jax.Array:
    """`rotate` without halves, which a TPU's compiler turns in several passes over all of `x`.

    The halves change places, one with its sign changed, in a product with a fixed matrix: each of
    its sums has one term. Heads of narrow models are taken together.

    Args:
        x: queries or keys [B, T, H, C].
        sin: of the angles, [T, C / 2].
        cos: of the angles, [T, C / 2].
    """
    rows, length, heads, size = x.shape
    together = _together(heads // shards("heads"), size)
    sin, cos = (jnp.tile(part, (1, 2 * together))[None, :, None] for part in (sin, cos))
    quarter = np.kron(np.eye(together), np.kron([[0, 1], [-1, 0]], np.eye(size // 2)))
    joined = x.reshape(rows, length, heads // together, together * size)
    crossed = jnp.matmul(
        joined,
        jnp.asarray(quarter, x.dtype),
        precision="highest" if x.dtype == jnp.float32 else None,
        preferred_element_type=jnp.float32,
    )
    turned = (joined.astype(jnp.float32) * cos + crossed * sin).astype(x.dtype)
    return sequence_minor(turned.reshape(x.shape))


def _together(heads: int, size: int) -> int:
    """How many of a device's heads are rotated in one product: as many as fill its lanes."""
    fitting = [n for n in range(1, heads + 1) if heads % n == 0 and n * size <= LANES]
    return heads if heads * size <= 2 * LANES else max(fitting, default=1)


def layer_norm(x: jax.Array, epsilon: float) -> jax.Array:
    """LayerNorm without parameters over the last axis, in float32."""
    wide = x.astype(jnp.float32)
    wide = wide - wide.mean(-1, keepdims=True)
    wide = wide * jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + epsilon)
    return wide.astype(x.dtype)


def rms_norm(x: jax.Array, weight: jax.Array, epsilon: float) -> jax.Array:
    """RMSNorm over all axes behind the first two, in float32.

    Args:
        x: [B, T, ...].
        weight: what each element is scaled by, [...].
        epsilon: added to the mean square.
    """
    wide, axes = x.astype(jnp.float32), tuple(range(2, x.ndim))
    wide = wide * jax.lax.rsqrt(jnp.square(wide).mean(axes, keepdims=True) + epsilon)
    return (wide * weight[None, None]).astype(x.dtype)


def normal(
    rngs: nnx.Rngs, size: tuple[int, ...], std: Any, axes: tuple[str | None, ...]
) -> nnx.Param[jax.Array]:
    """Normal weights of that standard deviation before they are cut off at three of them."""
    draw = jax.random.truncated_normal(rngs.params(), -3.0, 3.0, size)
    return nnx.Param(draw * std, out_sharding=axes)


def ones(size: tuple[int, ...], axes: tuple[str | None, ...] = (None,)) -> nnx.Param[jax.Array]:
    """Weights of a norm, which start at one."""
    return nnx.Param(jnp.ones(size), out_sharding=axes)
