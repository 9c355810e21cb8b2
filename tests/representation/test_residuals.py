"""A model run layer by layer against the model run as a whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from planted_models import drawn

from rare_retention.models.llama_shape import Llama, Olmo2
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.representation import residuals
from rare_retention.representation.residuals import activations, advance, answer, assemble, states

SIZES = {"layers": 3, "hidden": 16, "mlp": 32, "heads": 4, "vocabulary": 48}
SHAPES = {
    "layer": OlmoShape(**SIZES),
    "rms": OlmoShape(**SIZES, norm="rms"),
    "olmo2": Olmo2(kv_heads=2).shape(**SIZES),
    "llama": Llama(kv_heads=1, tied=True).shape(**SIZES),
}
STATES = nnx.jit(states)
WHOLE = nnx.jit(lambda model, tokens: model(tokens))
one_norm = pytest.mark.parametrize("model", ["rms"], indirect=True)
two = pytest.mark.parametrize("model", ["rms", "olmo2"], indirect=True)
TOKENS = np.random.default_rng(0).integers(0, 48, (5, 6)).astype(np.int32)


@pytest.fixture(scope="module", params=SHAPES)
def model(request):
    params = drawn(SHAPES[request.param], seed=1)
    # Weights of 1 would hide a norm that is left out.
    norms = [leaf for name, leaf in params["layers"].items() if "norm" in name]
    for i, norm in enumerate([*norms, params.get("final_norm", np.ones(1))]):
        norm *= np.random.default_rng(i).uniform(0.5, 2, norm.shape)
    return assemble(SHAPES[request.param], params)


def test_layer_by_layer_is_the_whole_model(model):
    found = STATES(model, TOKENS)
    assert found.shape == (5, 4, 6, 16)
    whole = np.asarray(WHOLE(model, TOKENS))
    np.testing.assert_allclose(model.normalise(found[:, -1]), whole, atol=1e-5)
    np.testing.assert_allclose(answer(model, found[:, -1]), whole[:, -1], atol=1e-5)
    np.testing.assert_array_equal(found[:, 0], np.asarray(model.embedding[...])[TOKENS])


@two
def test_a_run_may_stop_and_go_on_anywhere(model):
    found = STATES(model, TOKENS)
    for start in range(4):
        for stop in range(start, 4):
            reached = advance(model, found[:, start], start, stop)
            np.testing.assert_allclose(reached, found[:, stop], atol=1e-5)


@pytest.mark.parametrize("kind", ["layer", "olmo2"])
def test_an_mlp_that_is_not_kept_adds_nothing(kind):
    params = drawn(SHAPES[kind], seed=2)
    before = assemble(SHAPES[kind], params)
    params["layers"]["down"][1] = 0
    x = before.embed(jnp.asarray(TOKENS))
    without = advance(before, x, 0, 3, jnp.asarray([1.0, 0.0, 1.0]))
    expected = WHOLE(assemble(SHAPES[kind], params), TOKENS)
    np.testing.assert_allclose(before.normalise(without), expected, atol=1e-5)


@one_norm
def test_activations_are_states_at_positions_however_many_prompts(model, monkeypatch):
    monkeypatch.setattr(residuals, "_ROWS", 2)
    found = activations(model, TOKENS, (0, 4))
    assert found.shape == (5, 4, 2, 16) and found.dtype == np.float32
    expected = np.asarray(STATES(model, TOKENS))[:, :, [0, 4]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@one_norm
def test_what_stands_at_a_position_knows_no_later_token(model):
    other = TOKENS.copy()
    other[:, 2:] = 7
    same = activations(model, TOKENS, (0, 1, 2)), activations(model, other, (0, 1, 2))
    np.testing.assert_allclose(same[0][:, :, :2], same[1][:, :, :2], atol=1e-6)
    assert np.abs(same[0][:, :, 2] - same[1][:, :, 2]).max() > 0.1


@one_norm
def test_models_compute_in_float32_whatever_they_were_trained_in(model):
    assert {leaf.dtype for leaf in jax.tree.leaves(STATES(model, TOKENS))} == {jnp.dtype("float32")}
