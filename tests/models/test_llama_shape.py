"""Llama and OLMo 2 as they are counted and published."""

import json

import numpy as np
import pytest
import safetensors.numpy
from golden_models import GOLDEN

from rare_retention.errors import ConfigError
from rare_retention.models.exchange import CONFIG, WEIGHTS, load
from rare_retention.models.llama_shape import LAYOUTS, Llama, LlamaShape, Olmo2

SIZES = {"layers": 2, "hidden": 16, "mlp": 24, "heads": 4, "vocabulary": 7}


@pytest.mark.parametrize("kv", [3, 8, 0, -1])
def test_keys_that_queries_do_not_share_evenly_are_one_line(kv):
    with pytest.raises(ConfigError, match=f"kv_heads: expected .*, got {kv}") as caught:
        LlamaShape(**SIZES, kv_heads=kv)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="kv_heads: expected"):
        Llama(kv_heads=kv).shape(**SIZES)


def test_parameters_of_published_models():
    """As the weights of these models are counted where they are published."""
    smol = Llama(kv_heads=3, tied=True)
    shape = smol.shape(layers=30, hidden=576, mlp=3072, heads=9, vocabulary=49_152)
    assert shape.parameters == 134_515_008
    wide = Llama(kv_heads=8, tied=True)
    shape = wide.shape(layers=16, hidden=2048, mlp=16_384, heads=32, vocabulary=128_256)
    assert shape.parameters == 1_235_814_400
    shape = Olmo2().shape(layers=16, hidden=2048, mlp=16_384, heads=16, vocabulary=100_352)
    assert shape.parameters == 1_484_916_736


def test_families_have_their_constants():
    olmo2, llama = Olmo2().shape(**SIZES), Llama(rope_theta=1e4).shape(**SIZES)
    assert (olmo2.norm_epsilon, olmo2.rope_theta, olmo2.tied) == (1e-6, 500_000, False)
    assert olmo2.query_key_norm and olmo2.reordered_norm and olmo2.kind == "olmo2"
    assert (llama.norm_epsilon, llama.rope_theta, llama.tied) == (1e-5, 10_000, False)
    assert not llama.query_key_norm and not llama.reordered_norm and llama.kind == "llama"
    assert Olmo2(kv_heads=2).shape(**SIZES).kv_heads == 2


def test_flops_count_fewer_keys_and_a_tied_output_once():
    whole, fewer = LlamaShape(**SIZES), LlamaShape(**SIZES, kv_heads=1, tied=True)
    saved = 2 * 2 * 16 * (16 - 4)  # two matrices of each layer
    assert whole.flops_per_token(8) - fewer.flops_per_token(8) == 6 * saved
    assert whole.parameters - fewer.parameters == saved + 7 * 16


def test_weights_are_named_in_order():
    plain, second = LlamaShape(**SIZES, tied=True), Olmo2().shape(**SIZES)
    assert plain.layer_weights == (
        *("q", "kv", "out", "gate_up", "down"),
        *("attention_norm", "mlp_norm"),
    )
    assert second.layer_weights[5:7] == ("query_norm", "key_norm")
    assert plain.other_weights == ("embedding", "final_norm")
    assert second.other_weights == ("embedding", "unembedding", "final_norm")


def test_tensors_stand_in_their_places():
    """Row h C + c of a projection is dimension c of head h; matrices are [outputs, inputs]."""
    _, params = load(GOLDEN / "olmo2")
    tensors, layers = safetensors.numpy.load_file(GOLDEN / "olmo2" / WEIGHTS), params["layers"]
    own = "model.layers.2"
    q, k, v = (tensors[f"{own}.self_attn.{name}_proj.weight"] for name in "qkv")
    assert layers["q"][2, 5, 3, 1] == q[3 * 4 + 1, 5]
    assert layers["kv"][2, 5, 0, 1, 2] == k[4 + 2, 5]
    assert layers["kv"][2, 5, 1, 1, 2] == v[4 + 2, 5]
    assert layers["query_norm"][2, 3, 1] == tensors[f"{own}.self_attn.q_norm.weight"][13]
    assert layers["key_norm"][2, 1, 2] == tensors[f"{own}.self_attn.k_norm.weight"][6]
    behind = {"attention_norm": "post_attention", "mlp_norm": "post_feedforward"}
    for ours, theirs in behind.items():
        np.testing.assert_array_equal(layers[ours][2], tensors[f"{own}.{theirs}_layernorm.weight"])
    _, params = load(GOLDEN / "llama")
    tensors, layers = safetensors.numpy.load_file(GOLDEN / "llama" / WEIGHTS), params["layers"]
    before = {"attention_norm": "input", "mlp_norm": "post_attention"}
    for ours, theirs in before.items():
        np.testing.assert_array_equal(layers[ours][2], tensors[f"{own}.{theirs}_layernorm.weight"])
    np.testing.assert_array_equal(params["final_norm"], tensors["model.norm.weight"])


@pytest.mark.parametrize(("kind", "epsilon"), [("llama", 1e-6), ("olmo2", 1e-5)])
def test_what_a_file_leaves_out_is_transformers_default(kind, epsilon):
    data = json.loads((GOLDEN / kind / CONFIG).read_text())
    for name in ("rms_norm_eps", "num_key_value_heads", "tie_word_embeddings", "rope_parameters"):
        data.pop(name)
    layout = LAYOUTS[kind]
    shape = layout.shape(**layout.fields(layout.defaults | data))
    assert (shape.norm_epsilon, shape.key_heads, shape.tied) == (epsilon, 4, False)
    assert shape.rope_theta == 10_000


def test_a_saved_shape_is_read_back():
    for shape in (Olmo2(kv_heads=2).shape(**SIZES), Llama(kv_heads=4, tied=True).shape(**SIZES)):
        layout = LAYOUTS[shape.kind]
        data = layout.config(shape, 64)
        assert layout.shape(**layout.fields(data)) == shape
        for name, allowed in layout.fixed(data).items():
            assert data.get(name) in allowed


@pytest.mark.parametrize("norms", [(True, False), (False, True)])
def test_models_between_the_two_have_no_config(norms):
    shape = LlamaShape(**SIZES, query_key_norm=norms[0], reordered_norm=norms[1])
    with pytest.raises(ConfigError, match=r"query_key_norm: transformers' olmo2 has both"):
        LAYOUTS[shape.kind].config(shape, 64)
