"""Every path of the attention against NumPy in float64, and the choice among them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rare_retention.mesh import MeshShape
from rare_retention.models import attention
from rare_retention.models.attention import attend, choose
from rare_retention.parallel import make_mesh


def draw(length, size=8, heads=2, rows=2, dtype=jnp.float32):
    """Queries, keys, values and a cotangent."""
    drawn = np.random.default_rng(length).standard_normal((4, rows, length, heads, size))
    return list(jnp.asarray(drawn, dtype))


def exact(q, k, v):
    """Softmax attention in float64, with a mask."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    scores = np.einsum("bthc,bshc->bhts", q, k) / np.sqrt(q.shape[-1])
    scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    share = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("bhts,bshc->bthc", share / share.sum(-1, keepdims=True), v)


@pytest.mark.parametrize(
    ("path", "length"), [("blocked", 1), ("blocked", 67), ("blocked", 200), ("xla", 1), ("xla", 67)]
)
def test_outputs_at_odd_lengths(path, length):
    q, k, v, _ = draw(length)
    found = jax.jit(lambda *x: attend(path, *x))(q, k, v)
    np.testing.assert_allclose(found, exact(q, k, v), atol=2e-6)


@pytest.mark.parametrize(("length", "size"), [(256, 8), (640, 24)])
def test_splash_outputs(length, size):
    """In one tile, and in five times five."""
    q, k, v, _ = draw(length, size, heads=1, rows=1)
    found = jax.jit(lambda *x: attend("splash", *x))(q, k, v)
    np.testing.assert_allclose(found, exact(q, k, v), atol=2e-6)


@pytest.mark.parametrize(
    ("path", "length", "size"),
    [("blocked", 200, 8), *(("splash", 128, size) for size in (8, 24, 32, 64))],
)
def test_gradients_are_those_of_the_plain_path(path, length, size):
    *inputs, cotangent = draw(length, size)

    @jax.jit
    def gradients(*inputs):
        each = (functools.partial(attend, p) for p in (path, "xla"))
        return [jax.vjp(own, *inputs)[1](cotangent) for own in each]

    for found, wanted in zip(*gradients(*inputs), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_splash_on_a_mesh():
    """Rows over data x fsdp, heads over model: each device has its own."""
    q, k, v, _ = draw(128, rows=4)
    with jax.set_mesh(make_mesh(MeshShape(data=2, fsdp=2, model=2))):
        found = jax.jit(lambda *x: attend("splash", *x))(q, k, v)
        assert found.addressable_shards[0].data.shape == (1, 128, 1, 8)
    np.testing.assert_allclose(found, exact(q, k, v), atol=2e-6)


@pytest.mark.parametrize("keys", [1, 2])
@pytest.mark.parametrize("path", ["blocked", "xla", "splash"])
def test_queries_share_keys_in_rows(path, keys):
    """Outputs and gradients of keys that are repeated; a key's gradient is the sum of its own."""
    q, k, v, cotangent = draw(128, heads=4)
    k, v = k[:, :, :keys], v[:, :, :keys]

    def outputs(q, k, v):
        return attend(path, q, k, v)

    def repeated(q, k, v):
        return attend("xla", q, *(jnp.repeat(x, 4 // keys, axis=2) for x in (k, v)))

    @jax.jit
    def both(*inputs):
        found = [jax.vjp(own, *inputs) for own in (outputs, repeated)]
        return [(out, *back(cotangent)) for out, back in found]

    found, wanted = both(q, k, v)
    np.testing.assert_allclose(
        found[0], exact(q, *(np.repeat(x, 4 // keys, axis=2) for x in (k, v))), atol=2e-6
    )
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=5e-6)


@pytest.mark.parametrize("path", ["blocked", "xla", "splash"])
def test_shared_keys_on_a_mesh_that_cuts_heads(path):
    """A single key head for four query heads on two devices."""
    q, k, v, _ = draw(128, rows=4, heads=4)
    k, v = k[:, :, :1], v[:, :, :1]
    with jax.set_mesh(make_mesh(MeshShape(data=2, fsdp=2, model=2))):
        found = jax.jit(lambda *x: attend(path, *x))(q, k, v)
    wanted = exact(q, *(np.repeat(x, 4, axis=2) for x in (k, v)))
    np.testing.assert_allclose(found, wanted, atol=2e-6)


@pytest.mark.parametrize("path", ["blocked", "xla", "splash"])
def test_bfloat16_stays_bfloat16(path):
    q, k, v, _ = draw(128, dtype=jnp.bfloat16)
    found = jax.jit(lambda *x: attend(path, *x))(q, k, v)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(found, np.float64), exact(q, k, v), atol=3e-2)


@pytest.mark.parametrize("length", [1, 64, 65, 127, 128, 1000, 1024, 4096, 4099])
def test_blocks_cut_the_length_evenly_and_are_few(length):
    """Of a prime length there is one block."""
    block = attention._block(length)
    assert length % block == 0 and length // block <= 16
    assert block >= min(64, length)


@pytest.mark.parametrize(
    ("length", "tile"),
    [(128, 128), (384, 384), (640, 128), (768, 384), (1280, 256), (2048, 512), (4096, 512)],
)
def test_splash_takes_the_largest_tiles_that_divide_the_length(length, tile):
    """Up to 512, forwards and in both kernels of the backward pass."""
    found = attention._tiles(length)
    assert found.has_backward_blocks
    sizes = dataclasses.asdict(found)
    assert {size for name, size in sizes.items() if name.startswith("block_")} == {tile}


@pytest.mark.parametrize(
    ("backend", "length", "size", "dtype", "wanted"),
    [
        ("cpu", 128, 128, "bfloat16", "blocked"),
        ("tpu", 4096, 128, "bfloat16", "splash"),
        ("tpu", 4096, 128, "float32", "splash"),
        ("tpu", 4000, 128, "bfloat16", "blocked"),
        ("tpu", 4096, 64, "bfloat16", "splash"),
        ("tpu", 256, 24, "float32", "splash"),
        ("tpu", 4096, 8, "bfloat16", "splash"),
        ("tpu", 4096, 12, "bfloat16", "blocked"),
        ("gpu", 512, 64, "bfloat16", "cudnn"),
        ("gpu", 512, 64, "float16", "cudnn"),
        ("gpu", 512, 64, "float32", "blocked"),
        ("gpu", 512, 12, "bfloat16", "blocked"),
        ("gpu", 512, 256, "bfloat16", "blocked"),
    ],
)
def test_auto_is_the_fused_path_where_there_is_one(backend, length, size, dtype, wanted):
    shape = (2, length, 4, size)
    assert choose("auto", backend, shape, jnp.dtype(dtype)) == wanted
    assert choose("xla", backend, shape, jnp.dtype(dtype)) == "xla"
