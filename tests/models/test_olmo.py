"""OLMo against the libraries that publish it, in float64, and against itself on a mesh."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from flax import nnx
from jax.sharding import NamedSharding

from rare_retention.mesh import MeshShape
from rare_retention.models.architecture import Architecture, Compute
from rare_retention.models.exchange import load
from rare_retention.models.olmo import Olmo, rotate
from rare_retention.models.vocabulary import logits, token_losses
from rare_retention.parallel import logical_names, make_mesh

GOLDEN = epath.Path(__file__).parent / "golden"
WIDE = Architecture(layers=3, hidden=64, mlp=256, heads=4, vocabulary=300)
NORMS = ("attention_norm", "mlp_norm")
PIECES = 2 * 80 * 16  # logits of 16 positions of a golden batch: several pieces in every test


class Golden(NamedTuple):
    """A model of another library (`golden/make.py`) and what it makes of `tokens`."""

    shape: Architecture
    params: dict
    gradient: dict
    tokens: np.ndarray
    logits: np.ndarray
    loss: float


@pytest.fixture(scope="module")
def transformers():
    return read("transformers")


def read(name):
    shape, params = load(GOLDEN / name)
    _, gradient = load(GOLDEN / name / "gradient")
    with np.load(GOLDEN / name / "golden.npz") as file:
        tokens = file["tokens"].astype(np.int32)
        return Golden(shape, params, gradient, tokens, file["logits"], float(file["loss"]))


def graph_of(shape, compute):
    with logical_names():
        return nnx.split(nnx.eval_shape(lambda: Olmo(shape, compute, rngs=nnx.Rngs(0))))


@functools.cache
def drawer(shape):
    """draw(key): the pure dict of a freshly drawn model, compiled."""

    def draw(key):
        rngs = nnx.Rngs(key)
        with logical_names():
            return nnx.to_pure_dict(nnx.state(Olmo(shape, Compute(), rngs=rngs)))

    return jax.jit(draw)


def applied(shape, compute):
    """hidden(params, tokens) of a model with those weights."""
    graph, state = graph_of(shape, compute)

    def hidden(params, tokens):
        nnx.replace_by_pure_dict(own := jax.tree.map(lambda x: x, state), params)
        return nnx.merge(graph, own)(tokens)

    return hidden


def measured(shape, compute, largest=PIECES):
    """(mean loss, logits) and gradients by weight: f(params, tokens), compiled."""
    hidden = applied(shape, compute)

    def loss(params, tokens):
        last = hidden(params, tokens)
        # Of the last position, which has no target, any will do.
        losses = token_losses(last, params["unembedding"], jnp.roll(tokens, -1, 1), largest)
        return losses[:, :-1].mean(), logits(last, params["unembedding"])

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def close(found, wanted, tolerance):
    """Equal in every leaf to that share of its largest element."""

    def one(path, found, wanted):
        bound = tolerance * np.abs(wanted).max()
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=0, atol=bound, err_msg=name)

    jax.tree_util.tree_map_with_path(one, found, wanted)


def agrees(golden, compute, tolerance=1e-5):
    (loss, scores), gradient = measured(golden.shape, compute)(golden.params, golden.tokens)
    assert abs(float(loss) - golden.loss) < tolerance * golden.loss
    close(scores, golden.logits, tolerance)
    close(gradient, golden.gradient, tolerance)


@pytest.mark.parametrize(
    ("path", "remat"),
    [
        ("xla", "none"),
        ("blocked", "none"),
        ("blocked", "full"),
        ("splash", "none"),
        ("splash", "dots"),
    ],
)
def test_the_same_numbers_as_transformers(transformers, path, remat):
    """Logits, mean loss and every gradient to 1e-5 of the largest, in float32."""
    agrees(transformers, Compute(attention=path, remat=remat))


@pytest.mark.parametrize("name", ["ai2_layer", "ai2_rms"])
def test_the_same_numbers_as_ai2s_own_code(name):
    agrees(read(name), Compute(unroll=2))


def test_bfloat16_gives_nearly_the_same_numbers(transformers):
    """It has 8 bits of significand, so every rounding is off by up to 1 / 256."""
    golden, compute = transformers, Compute(dtype="bfloat16")
    (loss, scores), gradient = measured(golden.shape, compute)(golden.params, golden.tokens)
    assert scores.dtype == jnp.float32 and gradient["embedding"].dtype == jnp.float32
    assert 0 < abs(float(loss) - golden.loss) < 1e-2 * golden.loss
    close(scores, golden.logits, 5e-2)
    assert np.std(np.asarray(scores) - golden.logits) < 2e-2 * np.std(golden.logits)
    for ours, theirs in zip(
        jax.tree.leaves(gradient), jax.tree.leaves(golden.gradient), strict=True
    ):
        assert np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1] > 0.995


def test_clipping_acts_in_the_golden_models(transformers):
    """Otherwise they could not tell whether we clip."""
    params, tokens = transformers.params, transformers.tokens
    unclipped = Architecture(layers=3, hidden=16, mlp=64, heads=2, vocabulary=80, clip_qkv=None)
    hidden = jax.jit(applied(unclipped, Compute()))(params, tokens)
    scores = np.asarray(logits(hidden, params["unembedding"]))
    assert np.abs(scores - transformers.logits).max() > 0.1


@pytest.mark.parametrize("path", ["blocked", "xla", "splash"])
def test_no_position_sees_a_later_one(transformers, path):
    """A changed token changes nothing before it, to the bit, and its own position."""
    hidden = jax.jit(applied(transformers.shape, Compute(attention=path)))
    tokens = transformers.tokens
    before = np.asarray(hidden(transformers.params, tokens))
    for at in (0, 63, 64, 127):
        changed = tokens.copy()
        changed[:, at] = (changed[:, at] + 1) % transformers.shape.vocabulary
        after = np.asarray(hidden(transformers.params, changed))
        np.testing.assert_array_equal(after[:, :at], before[:, :at])
        assert np.all(np.any(after[:, at] != before[:, at], axis=-1))


def test_positions_turn_by_their_angles():
    """Dimensions i and i + C/2 of position t are turned by t theta^(-2i/C), in complex numbers."""
    x = jax.random.normal(jax.random.key(0), (2, 9, 3, 8))
    wide = np.asarray(x, np.float64)
    turn = np.exp(1j * np.outer(np.arange(9), 100.0 ** (-np.arange(4) / 4)))[None, :, None]
    wanted = (wide[..., :4] + 1j * wide[..., 4:]) * turn
    wanted = np.concatenate([wanted.real, wanted.imag], axis=-1)
    np.testing.assert_allclose(rotate(x, 100.0), wanted, atol=1e-5)


def test_initial_weights_follow_mitchell():
    """1 / sqrt(inputs), output matrices also / sqrt(2 (layer + 1)); cut off at three of them."""
    params = drawer(WIDE)(jax.random.key(0))
    inward, outward = 64**-0.5, [(2 * (layer + 1)) ** -0.5 for layer in range(3)]
    wanted = {
        "qkv": [inward] * 3,
        "gate_up": [inward] * 3,
        "out": [inward * depth for depth in outward],
        "down": [128**-0.5 * depth for depth in outward],
    }
    cut = 0.98658  # standard deviation of a normal cut off at three of its own
    for name, stds in wanted.items():
        for weights, std in zip(np.asarray(params["layers"][name]), stds, strict=True):
            assert np.abs(weights).max() <= 3 * std
            # Five standard errors of a standard deviation.
            assert abs(weights.std() / (cut * std) - 1) < 5 / math.sqrt(2 * weights.size), name
    for name in ("embedding", "unembedding"):
        weights = np.asarray(params[name])
        assert abs(weights.std() / (cut * inward) - 1) < 5 / math.sqrt(2 * weights.size)


def test_layers_start_different_and_seeds_differ():
    one, other = map(drawer(WIDE), jax.random.split(jax.random.key(0)))
    first, second, _ = np.asarray(one["layers"]["qkv"])
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05
    assert not np.any(np.asarray(one["embedding"]) == np.asarray(other["embedding"]))


def test_norm_weights_start_at_one():
    draw = drawer(Architecture(layers=2, hidden=8, mlp=16, heads=2, vocabulary=9, norm="rms"))

    @jax.jit
    def norms():
        params = draw(jax.random.key(0))
        return [params["layers"][name] for name in NORMS], params["final_norm"]

    layers, final = norms()
    for leaf in layers:
        np.testing.assert_array_equal(leaf, np.ones((2, 8)))
    np.testing.assert_array_equal(final, np.ones(8))


@pytest.mark.parametrize("path", ["blocked", "splash"])
def test_the_same_numbers_on_a_mesh(transformers, path):
    """2 x 2 x 2 devices, every matrix cut in four; the rows twice, for there to be enough."""
    shape, compute = transformers.shape, Compute(attention=path)
    with logical_names():
        specs = nnx.to_pure_dict(nnx.get_partition_spec(graph_of(shape, compute)[1]))
    mesh = make_mesh(MeshShape(data=2, fsdp=2, model=2))
    with jax.set_mesh(mesh):
        shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
        params = jax.device_put(transformers.params, shardings)
        for leaf in jax.tree.leaves(params):
            assert leaf.addressable_shards[0].data.size * 4 == leaf.size
        twice = transformers._replace(
            params=params,
            tokens=np.tile(transformers.tokens, (2, 1)),
            logits=np.tile(transformers.logits, (2, 1, 1)),
        )
        agrees(twice, compute)
