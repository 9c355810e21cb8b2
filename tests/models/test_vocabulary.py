"""Cross-entropy in pieces against all logits at once, and against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import collectives
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.mesh import MeshShape
from rare_retention.models import vocabulary
from rare_retention.models.vocabulary import evaluate, logits, look_up, losses, token_losses
from rare_retention.parallel import make_mesh, sharding

ROWS, LENGTH, HIDDEN, WORDS = 4, 24, 8, 50
POSITION = ROWS * WORDS  # logits of one position


def draw(dtype=jnp.float32):
    """Hidden states, unembedding, targets and weights of the losses."""
    rng = np.random.default_rng(0)
    hidden = jnp.asarray(rng.standard_normal((ROWS, LENGTH, HIDDEN)), dtype)
    unembedding = jnp.asarray(rng.standard_normal((WORDS, HIDDEN)), jnp.float32)
    targets = rng.integers(0, WORDS, (ROWS, LENGTH)).astype(np.int32)
    weights = rng.uniform(size=(ROWS, LENGTH)).astype(np.float32)
    return hidden, unembedding, jnp.asarray(targets), jnp.asarray(weights)


def exact(hidden, unembedding, targets):
    scores = np.asarray(hidden, np.float64) @ np.asarray(unembedding, np.float64).T
    own = np.take_along_axis(scores, np.asarray(targets)[..., None], -1)[..., 0]
    return np.log(np.exp(scores).sum(-1)) - own


def gradients(hidden, unembedding, targets, weights, largest):
    """Of the weighted sum of the losses, and these; all logits at once where `largest` is None."""

    def total(hidden, unembedding):
        if largest is None:
            found = losses(hidden, unembedding, targets)
        else:
            found = token_losses(hidden, unembedding, targets, largest)
        return (found * weights).sum(), found

    return jax.jit(jax.grad(total, (0, 1), has_aux=True))(hidden, unembedding)


@pytest.mark.parametrize("positions", [5, 24])
def test_pieces_change_neither_losses_nor_gradients(positions):
    hidden, unembedding, targets, weights = draw()
    wanted, whole = gradients(hidden, unembedding, targets, weights, None)
    pieces, found = gradients(hidden, unembedding, targets, weights, positions * POSITION)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact(hidden, unembedding, targets), atol=1e-5)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    for ours, theirs in zip(pieces, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_gradients_in_bfloat16():
    """The unembedding's gradient stays float32; both are off by roundings of bfloat16 only."""
    hidden, unembedding, targets, weights = draw(jnp.bfloat16)
    found, _ = gradients(hidden, unembedding, targets, weights, 4 * POSITION)
    wide = hidden.astype(jnp.float32)
    wanted, _ = gradients(wide, unembedding, targets, weights, None)
    assert (found[0].dtype, found[1].dtype) == (jnp.bfloat16, jnp.float32)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours.astype(jnp.float32), theirs, atol=5e-2)


def test_no_more_logits_are_held_than_allowed():
    """No array of the traced forward and backward pass is larger."""
    hidden, unembedding, targets, weights = draw()
    program = jax.make_jaxpr(
        jax.grad(lambda h, u: (token_losses(h, u, targets, 6 * POSITION) * weights).sum(), (0, 1))
    )(hidden, unembedding)
    sizes = [
        var.aval.size for part in _parts(program.jaxpr) for eqn in part.eqns for var in eqn.outvars
    ]
    assert max(sizes) <= 6 * POSITION < ROWS * LENGTH * WORDS


def _parts(jaxpr):
    """A jaxpr and all that stand in it."""
    yield jaxpr
    for eqn in jaxpr.eqns:
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _parts(inner)


@pytest.mark.parametrize("largest", [3 * POSITION, 2**23])
def test_evaluation_knows_the_right_words(monkeypatch, largest):
    """Losses as in training, and whether the best score is the target's, in pieces or not."""
    monkeypatch.setitem(vocabulary._LARGEST, "cpu", largest)
    hidden, unembedding, targets, _ = draw()
    best = np.asarray(logits(hidden, unembedding)).argmax(-1)
    targets = jnp.asarray(np.where(np.arange(LENGTH) % 3 == 0, best, targets), jnp.int32)
    loss, right = jax.jit(evaluate)(hidden, unembedding, targets)
    np.testing.assert_allclose(loss, exact(hidden, unembedding, targets), atol=1e-5)
    np.testing.assert_array_equal(right, (best == np.asarray(targets)).astype(np.float32))
    assert 0.3 < np.asarray(right).mean() < 0.6


def test_losses_on_a_mesh():
    """Rows over data x fsdp, words over model."""
    hidden, unembedding, targets, weights = draw()
    wanted, _ = gradients(hidden, unembedding, targets, weights, None)
    mesh = make_mesh(MeshShape(data=2, fsdp=2, model=2))
    with jax.set_mesh(mesh):
        hidden = jax.device_put(hidden, sharding(mesh, "batch", None, None))
        unembedding = jax.device_put(unembedding, sharding(mesh, "vocab", "embed"))
        # A device has one row and half of the words: six positions a piece.
        found, _ = gradients(hidden, unembedding, targets, weights, 6 * WORDS // 2)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def on_a_mesh(function, *arrays, shape):
    """What a function of weights [V, D] and arrays of rows returns, and its program's text."""
    mesh = make_mesh(shape)
    weights, *rows = arrays
    with jax.set_mesh(mesh):
        weights = jax.device_put(weights, sharding(mesh, "vocab", "embed"))
        rows = [jax.device_put(x, sharding(mesh, "batch")) for x in rows]
        layout = weights.sharding
        program = jax.jit(function, out_shardings=layout).lower(weights, *rows).compile()
        return program(weights, *rows), program.as_text()


@pytest.mark.parametrize("shape", [MeshShape(data=2, fsdp=4), MeshShape(data=1, fsdp=4, model=2)])
def test_weights_are_gathered_and_their_gradient_is_reduced_once(shape):
    """And not for each piece of the positions: no loop has an array as large as the weights."""
    hidden, unembedding, targets, weights = draw()
    wanted = gradients(hidden, unembedding, targets, weights, None)[0][1]

    def gradient(unembedding, hidden, targets, weights):
        def total(unembedding):
            return (token_losses(hidden, unembedding, targets, POSITION // 4) * weights).sum()

        return jax.grad(total)(unembedding)

    many = [jnp.tile(x, (2, *(1,) * (x.ndim - 1))) for x in (hidden, targets, weights)]
    found, text = on_a_mesh(gradient, unembedding, *many, shape=shape)
    np.testing.assert_allclose(found, 2 * wanted, atol=1e-5)
    large = [one for one in collectives(text) if one.bytes / one.times >= WORDS * HIDDEN // 4 * 4]
    assert large and all(one.loops == 0 and one.times == 1 for one in large)


def test_gradients_of_embeddings_are_scattered_as_the_weights_are():
    """Each device is given the sums of its own dimensions, not of all; values and gradients."""
    _, embedding, tokens, weights = draw()
    tokens, weights = (jnp.tile(x, (2, 1)) for x in (tokens, weights))

    def gradient(embedding, tokens, weights):
        def total(embedding):
            return (look_up(embedding, tokens, jnp.float32).sum(-1) * weights).sum()

        return jax.grad(total)(embedding)

    wanted = np.zeros(embedding.shape, np.float32)
    np.add.at(wanted, np.asarray(tokens).ravel(), np.asarray(weights).ravel()[:, None])
    shape = MeshShape(data=2, fsdp=4)
    found, text = on_a_mesh(gradient, embedding, tokens, weights, shape=shape)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    cut = WORDS * HIDDEN // 4 * 4
    assert max(one.bytes for one in collectives(text)) == cut
    rows, _ = on_a_mesh(
        lambda embedding, tokens: (
            look_up(embedding, tokens, jnp.float32).sum((0, 1))[None] + 0 * embedding
        ),
        embedding,
        tokens,
        shape=shape,
    )
    np.testing.assert_allclose(rows[0], np.asarray(embedding)[tokens].sum((0, 1)), rtol=1e-4)


@given(st.integers(1, 500), st.integers(1, 1000), st.integers(1, 100_000))
def test_pieces_are_equal_and_the_fewest_that_fit(length, position, largest):
    hidden = jax.ShapeDtypeStruct((1, length, 2), jnp.float32)
    unembedding = jax.ShapeDtypeStruct((position, 2), jnp.float32)
    count = vocabulary._pieces(hidden, unembedding, largest)
    assert length % count == 0
    assert length // count * position <= largest or count == length
    fewer = [n for n in range(1, count) if length % n == 0]
    assert all(length // n * position > largest for n in fewer)


def test_logits_are_float32_of_the_hidden_type():
    """bfloat16 products summed in float32."""
    hidden, unembedding, _, _ = draw(jnp.bfloat16)
    found = logits(hidden, unembedding)
    rounded = np.asarray(unembedding.astype(jnp.bfloat16), np.float64)
    wanted = np.asarray(hidden, np.float64) @ rounded.T
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
