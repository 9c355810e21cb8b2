import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.mesh import MeshShape
from rare_retention.parallel import make_mesh, sharding
from rare_retention.record.digest import digests


def reference(array):
    """The digest in NumPy: odd weights times bits, modulo 2^32."""
    bits = array.view({2: np.uint16, 4: np.uint32}[array.dtype.itemsize]).astype(np.uint64).ravel()
    weight = (np.arange(bits.size, dtype=np.uint64) * 2654435762 + 1) % 2**32
    return int((bits * weight % 2**32).sum() % 2**32)


def test_digest_is_the_weighted_sum_of_bits():
    array = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32)
    half = jnp.asarray(array, jnp.bfloat16)
    assert digests({"a": {"b": jnp.asarray(array)}}) == {"a/b": reference(array)}
    assert digests([half]) == {"0": reference(np.asarray(half).view(np.uint16))}


@settings(max_examples=40)
@given(st.integers(0, 59), st.integers(0, 31))
def test_every_flipped_bit_shows(place, bit):
    array = np.random.default_rng(1).normal(size=60).astype(np.float32)
    flipped = array.copy()
    flipped.view(np.uint32)[place] ^= np.uint32(1 << bit)
    one, other = digests([jnp.asarray(array), jnp.asarray(flipped)]).values()
    assert one != other


def test_sharding_does_not_change_it():
    array = jax.random.normal(jax.random.key(0), (16, 8))
    spread = jax.device_put(array, sharding(make_mesh(MeshShape(data=8)), "batch", None))
    assert digests([spread]) == digests([array])
