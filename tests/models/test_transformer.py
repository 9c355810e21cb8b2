"""Parts of transformers in float64 NumPy, and complex numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rare_retention.mesh import MeshShape
from rare_retention.models import transformer
from rare_retention.models.transformer import (
    join_heads,
    layer_norm,
    normal,
    ones,
    project,
    rms_norm,
    rotate,
    swiglu,
)
from rare_retention.parallel import logical_names, make_mesh

RNG = np.random.default_rng(0)


def random(*size):
    return RNG.standard_normal(size).astype(np.float32)


def test_positions_turn_by_their_angles():
    """Dimensions i and i + C/2 of position t are turned by t theta^(-2i/C), in complex numbers."""
    x = jax.random.normal(jax.random.key(0), (2, 9, 3, 8))
    wide = np.asarray(x, np.float64)
    turn = np.exp(1j * np.outer(np.arange(9), 100.0 ** (-np.arange(4) / 4)))[None, :, None]
    wanted = (wide[..., :4] + 1j * wide[..., 4:]) * turn
    wanted = np.concatenate([wanted.real, wanted.imag], axis=-1)
    np.testing.assert_allclose(rotate(x, 100.0), wanted, atol=1e-5)


@pytest.mark.parametrize(("heads", "size"), [(8, 8), (3, 24), (5, 64), (4, 2)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_tpu_turns_heads_by_one_product(monkeypatch, heads, size, dtype):
    """To the numbers of the halves: each sum of the product has one term. And their gradients."""
    drawn = jax.random.normal(jax.random.key(0), (2, 2, 17, heads, size)).astype(dtype)

    def outputs():  # a function of its own each time, traced anew
        turned, back = jax.vjp(lambda x: rotate(x, 100.0), drawn[0])
        return [np.asarray(x, np.float32) for x in (turned, *back(drawn[1]))]

    wanted = outputs()
    monkeypatch.setattr(transformer, "platform", lambda: "tpu")
    turned, gradient = outputs()
    np.testing.assert_allclose(turned, wanted[0], rtol=1e-6, atol=1e-6)
    rounding = 1e-6 if dtype == "float32" else 2**-6
    np.testing.assert_allclose(gradient, wanted[1], rtol=rounding, atol=rounding)


@pytest.mark.parametrize("cut", [False, True])
def test_projections_keep_the_axes_of_the_weight(cut):
    """With and without a mesh that cuts them."""
    x, weight, back = random(2, 3, 4), random(4, 2, 6, 5), random(6, 5, 4)

    def both(x, weight, back):
        return project(x, weight, "heads"), join_heads(project(x, weight, "heads")[:, :, 0], back)

    if cut:
        with jax.set_mesh(make_mesh(MeshShape(model=2, data=4))):
            found, joined = jax.jit(both)(x, weight, back)
    else:
        found, joined = both(*map(jnp.asarray, (x, weight, back)))
    wanted = np.einsum("btd,dihc->btihc", x.astype(np.float64), weight)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_allclose(joined, np.einsum("bthc,hcd->btd", wanted[:, :, 0], back), atol=1e-3)


def test_the_gate_is_the_first_half():
    x, gate_up, down = random(2, 3, 4), random(4, 2, 5), random(5, 4)
    gate, up = np.einsum("btd,dim->ibtm", x.astype(np.float64), gate_up)
    wanted = (gate / (1 + np.exp(-gate)) * up) @ down
    np.testing.assert_allclose(swiglu(*map(jnp.asarray, (x, gate_up, down))), wanted, atol=1e-4)


@pytest.mark.parametrize("size", [(6,), (3, 4)])
def test_rms_norm_is_over_all_but_rows_and_positions(size):
    x, weight = random(2, 5, *size), random(*size)
    wide = x.astype(np.float64)
    axes = tuple(range(2, wide.ndim))
    wanted = wide / np.sqrt(np.square(wide).mean(axes, keepdims=True) + 0.1) * weight
    np.testing.assert_allclose(
        rms_norm(jnp.asarray(x), jnp.asarray(weight), 0.1), wanted, atol=1e-5
    )


def test_layer_norm_has_no_mean_and_no_weight():
    x = random(2, 5, 6) + 3
    wide = x.astype(np.float64)
    centred = wide - wide.mean(-1, keepdims=True)
    wanted = centred / np.sqrt(wide.var(-1, keepdims=True) + 0.1)
    np.testing.assert_allclose(layer_norm(jnp.asarray(x), 0.1), wanted, atol=1e-5)


def test_norms_and_rotation_are_computed_in_float32():
    x = jnp.asarray(random(2, 5, 3, 4), jnp.bfloat16)
    weight, wide = jnp.asarray(random(3, 4)), x.astype(jnp.float32)
    for narrow, exact in (
        (rms_norm(x, weight, 1e-5), rms_norm(wide, weight, 1e-5)),
        (layer_norm(x, 1e-5), layer_norm(wide, 1e-5)),
        (rotate(x, 1e4), rotate(wide, 1e4)),
    ):
        assert narrow.dtype == jnp.bfloat16
        np.testing.assert_array_equal(narrow, exact.astype(jnp.bfloat16))


def test_weights_know_their_axes():
    with logical_names():
        rngs = nnx.Rngs(0)
        drawn, norm = normal(rngs, (400, 30), 0.5, ("vocab", None)), ones((4, 2), ("heads", None))
        plain = ones((3,))
    assert drawn.out_sharding == ("vocab", None) and norm.out_sharding == ("heads", None)
    assert np.abs(drawn[...]).max() <= 1.5 and abs(np.std(drawn[...]) / 0.5 - 0.98658) < 0.02
    np.testing.assert_array_equal(norm[...], np.ones((4, 2)))
    assert plain.out_sharding == (None,)
