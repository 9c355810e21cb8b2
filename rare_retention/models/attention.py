"""Causal self-attention by the fastest path that the device, the shapes and the types allow."""

import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

from rare_retention.models.architecture import HEAD_ROWS, LANES, Path
from rare_retention.parallel import constrain, platform, shards, spec

KEPT = "attention"
"""Name of what attention returns, for the rematerialisation that keeps it."""


def attend(path: Path, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Softmax attention in which each position sees itself and those before it.

    Args:
        path: "blocked" or "xla", plain JAX on any device; "cudnn", fused on a GPU, 16-bit types
            only; "splash", fused on a TPU; "auto", the fused one where it can be had.
        q: queries [B, T, H, C]; they are scaled by 1 / sqrt(C) here.
        k: keys [B, T, K, C]; H / K queries in a row share one.
        v: values, as `k`.

    Returns:
        [B, T, H, C] in the type of `v`.
    """
    chosen = choose(path, platform(), q.shape, q.dtype)
    groups = q.shape[2] // k.shape[2]
    # JAX's own paths read grouped keys as they are, which a mesh that cuts heads could not.
    if groups > 1 and (chosen in ("blocked", "splash") or shards("heads") > 1):
        k, v = (constrain(jnp.repeat(x, groups, 2), "batch", None, "heads", None) for x in (k, v))
    if chosen == "splash":
        return splash_attention(q, k, v, interpret=platform() != "tpu")
    if chosen == "blocked":
        return checkpoint_name(blocked_attention(q, k, v), KEPT)
    implementation: Literal["xla", "cudnn"] = "cudnn" if chosen == "cudnn" else "xla"
    with jax.numpy_dtype_promotion("standard"):  # JAX's own code mixes 16-bit types with float32
        attended = jax.nn.dot_product_attention(
            q, k, v, is_causal=True, implementation=implementation
        )
    return checkpoint_name(attended, KEPT)


def choose(path: Path, backend: str, shape: tuple[int, ...], dtype: jnp.dtype) -> Path:
    """The path that "auto" stands for; any other stands for itself, where the length allows it.

    What is asked of a model beside its windows is often shorter, such as an instance of a task.

    Args:
        path: as asked for.
        backend: platform of the devices.
        shape: of the queries, [B, T, H, C].
        dtype: of the queries.
    """
    _, length, _, size = shape
    if path == "splash" and length % LANES:
        return "blocked"
    if path != "auto":
        return path
    if backend == "tpu" and length % LANES == 0 and size % HEAD_ROWS == 0:
        return "splash"
    narrow = dtype in (jnp.bfloat16, jnp.float16)
    if backend == "gpu" and narrow and length % 64 == 0 and size % 8 == 0 and size <= 128:
        return "cudnn"
    return "blocked"


def blocked_attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Blocks of queries, each against the keys up to its end alone; arguments as `attend`.

    Half of all scores are never computed and none is kept for the backward pass. On a CPU it takes
    a sixth of the time of `jax.nn.dot_product_attention` at 512 positions.
    """
    length, size = q.shape[1], q.shape[-1]
    block = _block(length)
    q, k, v = (jnp.swapaxes(x, 1, 2) for x in (q * (1 / math.sqrt(size)), k, v))

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def one(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        scores = jnp.einsum("bhtc,bhsc->bhts", q, k, preferred_element_type=jnp.float32)
        seen = jnp.tril(jnp.ones((q.shape[2], k.shape[2]), bool), k.shape[2] - q.shape[2])
        share = jax.nn.softmax(jnp.where(seen[None, None], scores, -jnp.inf), axis=-1)
        return jnp.einsum("bhts,bhsc->bhtc", share.astype(v.dtype), v)

    ends = range(block, length + block, block)
    blocks = [one(q[:, :, e - block : e], k[:, :, :e], v[:, :, :e]) for e in ends]
    return jnp.swapaxes(jnp.concatenate(blocks, axis=2), 1, 2)


def _block(length: int) -> int:
    """Positions of a block, 64 or more: at most 16 blocks, so that programs stay small."""
    sizes = range(max(64, -(-length // 16)), length)
    return next((size for size in sizes if length % size == 0), length)


def splash_attention(q: jax.Array, k: jax.Array, v: jax.Array, *, interpret: bool) -> jax.Array:
    """The Pallas kernel for TPUs, each device on its own rows and heads; arguments as `attend`.

    Args:
        q: queries [B, T, H, C].
        k: keys.
        v: values.
        interpret: run the kernel in plain JAX: slow, for tests on other devices.
    """
    mesh = jax.sharding.get_abstract_mesh()
    scaled = q * (1 / math.sqrt(q.shape[-1]))

    def local(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        mask = masks.MultiHeadMask([masks.CausalMask((q.shape[1], q.shape[1]))] * q.shape[2])
        kernel = splash.make_splash_mha_single_device(
            mask,
            block_sizes=_tiles(q.shape[1]),
            residual_checkpoint_name=KEPT,  # also log sum exp, without which it would run again
            interpret=interpret,
        )
        q, k, v = (jnp.swapaxes(x, 1, 2) for x in (q, k, v))
        attended: Any = jax.vmap(kernel)(q, k, v)
        return jnp.swapaxes(attended, 1, 2)

    if mesh.empty:
        return local(scaled, k, v)
    layout = spec("batch", None, "heads", None)
    return jax.shard_map(local, in_specs=(layout,) * 3, out_specs=layout, check_vma=False)(
        scaled, k, v
    )


def _tiles(length: int) -> splash.BlockSizes:
    """Queries and keys that the kernel takes at once, forwards and back.

    The kernel's own default is 128 of each; larger tiles start fewer programs. 512 were compiled
    for heads of up to 512 dimensions in bfloat16 and 128 in float32; none was run on a TPU yet.
    """
    tile = next(size for size in range(4 * LANES, 0, -LANES) if length % size == 0)
    return splash.BlockSizes(
        block_q=tile,
        block_kv=tile,
        block_q_dkv=tile,
        block_kv_dkv=tile,
        block_q_dq=tile,
        block_kv_dq=tile,
        q_layout=splash.QKVLayout.SEQ_MINOR,
        k_layout=splash.QKVLayout.SEQ_MINOR,
        v_layout=splash.QKVLayout.SEQ_MINOR,
    )
