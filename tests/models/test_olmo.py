"""OLMo against the libraries that publish it, in float64, and against itself on a mesh."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_models import agrees, agrees_on_a_mesh, applied, close, drawer, measured, read

from rare_retention.models.architecture import Compute
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.models.vocabulary import logits

WIDE = OlmoShape(layers=3, hidden=64, mlp=256, heads=4, vocabulary=300)
NORMS = ("attention_norm", "mlp_norm")


@pytest.fixture(scope="module")
def transformers():
    return read("transformers")


@pytest.mark.parametrize(
    ("path", "remat"),
    [
        ("xla", "none"),
        ("blocked", "none"),
        ("blocked", "full"),
        ("splash", "none"),
        ("splash", "dots"),
        ("blocked", "attention"),
        ("splash", "attention"),
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
    unclipped = OlmoShape(layers=3, hidden=16, mlp=64, heads=2, vocabulary=80, clip_qkv=None)
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
    draw = drawer(OlmoShape(layers=2, hidden=8, mlp=16, heads=2, vocabulary=9, norm="rms"))

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
    """Every matrix cut in four."""
    agrees_on_a_mesh(transformers, Compute(attention=path))
