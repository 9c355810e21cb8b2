"""OLMo 2 and Llama against transformers, in float64, and against themselves on a mesh."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from golden_models import agrees, agrees_on_a_mesh, applied, close, drawer, graph_of, measured, read

from rare_retention.models.architecture import Compute
from rare_retention.models.llama_shape import LlamaShape
from rare_retention.models.vocabulary import logits
from rare_retention.parallel import logical_names

NAMES = ("olmo2", "llama", "llama_tied")
NORMS = ("attention_norm", "mlp_norm", "query_norm", "key_norm")
UNCUT = (*NORMS, "final_norm")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["blocked", "xla"])
def test_the_same_numbers_as_transformers(name, path):
    """Logits, mean loss and every gradient to 1e-5 of the largest, in float32."""
    agrees(read(name), Compute(attention=path, remat="full" if path == "xla" else "none"))


def test_the_golden_models_are_different_and_their_norms_are_not_one():
    """Otherwise they could not tell whether we have what makes each of them."""
    shapes = {name: read(name).shape for name in NAMES}
    assert {shape.kv_heads for shape in shapes.values()} == {1, 2}
    assert [shape.tied for shape in shapes.values()] == [False, False, True]
    assert [shape.kind for shape in shapes.values()] == ["olmo2", "llama", "llama"]
    for name in NAMES:
        layers = read(name).params["layers"]
        for norm in set(NORMS) & set(layers):
            assert np.std(layers[norm]) > 0.2


@pytest.mark.parametrize("changes", [{"norm_epsilon": 1e-5}, {"rope_theta": 1e4}])
def test_the_golden_models_tell_the_constants(changes):
    golden = read("olmo2")
    shape = dataclasses.replace(golden.shape, **changes)
    (_, scores), _ = measured(shape, Compute())(golden.params, golden.tokens)
    assert np.abs(scores - golden.logits).max() > 1e-3 * np.abs(golden.logits).max()


@pytest.mark.parametrize("name", ["olmo2", "llama_tied"])
def test_bfloat16_gives_nearly_the_same_numbers(name):
    golden, compute = read(name), Compute(dtype="bfloat16")
    (loss, scores), gradient = measured(golden.shape, compute)(golden.params, golden.tokens)
    assert scores.dtype == jnp.float32 and gradient["embedding"].dtype == jnp.float32
    assert 0 < abs(float(loss) - golden.loss) < 2e-2 * golden.loss
    for ours, theirs in zip(
        jax.tree.leaves(gradient), jax.tree.leaves(golden.gradient), strict=True
    ):
        assert np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1] > 0.98


@pytest.mark.parametrize("path", ["blocked", "xla"])
@pytest.mark.parametrize("name", ["olmo2", "llama_tied"])
def test_the_same_numbers_on_a_mesh(name, path):
    """All heads cut in two; keys that are fewer, even a single one, stand on every device."""
    assert read(name).shape.kv_heads < read(name).shape.heads
    agrees_on_a_mesh(read(name), Compute(attention=path), whole=("kv", *UNCUT))


def test_keys_of_their_own_are_cut_like_queries():
    def axes(**fields):
        shape = LlamaShape(layers=1, hidden=8, mlp=8, heads=2, vocabulary=8, **fields)
        with logical_names():
            specs = nnx.to_pure_dict(nnx.get_partition_spec(graph_of(shape, Compute())[1]))
        return specs["layers"]

    own, shared = axes(query_key_norm=True), axes(query_key_norm=True, kv_heads=1)
    assert own["q"] == shared["q"] == jax.sharding.PartitionSpec(None, "fsdp", "model", None)
    assert own["kv"][3] == own["key_norm"][1] == "model"
    assert shared["kv"][3] is None and shared["key_norm"][1] is None


def test_shared_keys_are_copies_of_one():
    """A model in which keys and values of heads are repeated has the same scores."""
    golden = read("llama")
    shape = dataclasses.replace(golden.shape, kv_heads=None)
    layers = golden.params["layers"]
    whole = golden.params | {"layers": layers | {"kv": np.repeat(layers["kv"], 2, axis=3)}}
    hidden = jax.jit(applied(shape, Compute()))(whole, golden.tokens)
    close(np.asarray(logits(hidden, whole["unembedding"])), golden.logits, 1e-5)


def test_no_position_sees_a_later_one():
    golden = read("olmo2")
    hidden = jax.jit(applied(golden.shape, Compute()))
    before = np.asarray(hidden(golden.params, golden.tokens))
    changed = golden.tokens.copy()
    changed[:, 9] = (changed[:, 9] + 1) % golden.shape.vocabulary
    after = np.asarray(hidden(golden.params, changed))
    np.testing.assert_array_equal(after[:, :9], before[:, :9])
    assert np.all(np.any(after[:, 9] != before[:, 9], axis=-1))


def test_initial_weights_have_one_deviation_and_norms_are_one():
    """Cut off at three of 0.02, in all layers alike."""
    shape = LlamaShape(
        layers=2,
        hidden=64,
        mlp=128,
        heads=4,
        kv_heads=2,
        vocabulary=300,
        query_key_norm=True,
        reordered_norm=True,
    )
    params = drawer(shape)(jax.random.key(0))
    layers = params["layers"]
    matrices = [layers[name] for name in ("q", "kv", "out", "gate_up", "down")]
    for weights in [*matrices, params["embedding"][None], params["unembedding"][None]]:
        for own in np.asarray(weights):
            assert np.abs(own).max() <= 0.06
            # Five standard errors of a standard deviation.
            assert abs(own.std() / (0.98658 * 0.02) - 1) < 5 / math.sqrt(2 * own.size)
    assert not np.any(np.asarray(layers["q"][0]) == np.asarray(layers["q"][1]))
    for norm in [*(layers[name] for name in NORMS), params["final_norm"]]:
        np.testing.assert_array_equal(norm, np.ones_like(norm))
