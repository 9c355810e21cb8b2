"""OLMo as it is published: which tensor holds which weights, which field says what."""

import json

import numpy as np
import pytest
import safetensors.numpy
from etils import epath

from rare_retention.errors import ConfigError
from rare_retention.models.exchange import CONFIG, WEIGHTS, load
from rare_retention.models.olmo_shape import (
    LAYOUTS,
    Olmo,
    OlmoShape,
    transformers_config,
    transformers_places,
)

GOLDEN = epath.Path(__file__).parent / "golden"
SHAPE = OlmoShape(layers=2, hidden=6, mlp=8, heads=3, vocabulary=7, clip_qkv=0.5, rope_theta=500.0)


def fields(name, kind, **changes):
    """Fields of the architecture in the golden config.json of that name; a change to None cuts."""
    data = json.loads((GOLDEN / name / CONFIG).read_text()) | changes
    data = {key: value for key, value in data.items() if value is not None}
    return LAYOUTS[kind].fields(LAYOUTS[kind].defaults | data)


def params(norm="layer"):
    """The pure dict of an `OlmoModel` of that shape, all of its weights different."""
    heads, channel = SHAPE.heads, SHAPE.hidden // SHAPE.heads
    shapes = {
        "qkv": (2, 6, 3, heads, channel),
        "out": (2, heads, channel, 6),
        "gate_up": (2, 6, 2, 4),
        "down": (2, 4, 6),
    }
    own = {"embedding": (7, 6), "unembedding": (7, 6)}
    if norm == "rms":
        shapes |= {"attention_norm": (2, 6), "mlp_norm": (2, 6)}
        own |= {"final_norm": (6,)}
    rng = np.random.default_rng(0)
    made = {name: rng.standard_normal(shape) for name, shape in own.items()}
    layers = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    return made | {"layers": layers}


def test_transformers_tensors_stand_in_their_places():
    """Row h C + c of q_proj is dimension c of head h; matrices are [outputs, inputs]."""
    shape, params = load(GOLDEN / "transformers")
    assert shape == OlmoShape(
        layers=3, hidden=16, mlp=64, heads=2, vocabulary=80, clip_qkv=0.8, rope_theta=10_000.0
    )
    tensors = safetensors.numpy.load_file(GOLDEN / "transformers" / WEIGHTS)
    layers = params["layers"]
    for i in range(3):
        own = f"model.layers.{i}"
        for j, name in enumerate("qkv"):
            matrix = tensors[f"{own}.self_attn.{name}_proj.weight"]
            np.testing.assert_array_equal(layers["qkv"][i, 5, j, 1, 3], matrix[8 + 3, 5])
        out = tensors[f"{own}.self_attn.o_proj.weight"]
        np.testing.assert_array_equal(layers["out"][i, 1, 3, 5], out[5, 8 + 3])
        for j, name in enumerate(("gate", "up")):
            matrix = tensors[f"{own}.mlp.{name}_proj.weight"]
            np.testing.assert_array_equal(layers["gate_up"][i, :, j], matrix.T)
        down = tensors[f"{own}.mlp.down_proj.weight"]
        np.testing.assert_array_equal(layers["down"][i], down.T)
    np.testing.assert_array_equal(params["embedding"], tensors["model.embed_tokens.weight"])
    np.testing.assert_array_equal(params["unembedding"], tensors["lm_head.weight"])


def test_ai2s_fused_tensors_stand_in_their_places():
    """att_proj is q, k, v one above the other; ff_proj what is gated, then its gate."""
    shape, params = load(GOLDEN / "ai2_rms")
    assert (shape.norm, shape.norm_epsilon, shape.rope_theta) == ("rms", 1e-6, 500_000.0)
    assert shape.clip_qkv is None
    tensors = safetensors.numpy.load_file(GOLDEN / "ai2_rms" / WEIGHTS)
    block = "model.transformer.blocks.2"
    fused = tensors[f"{block}.att_proj.weight"]
    assert params["layers"]["qkv"][2, 5, 1, 1, 3] == fused[16 + 8 + 3, 5]
    up_gate = tensors[f"{block}.ff_proj.weight"]
    np.testing.assert_array_equal(params["layers"]["gate_up"][2, :, 1], up_gate[:32].T)
    np.testing.assert_array_equal(params["layers"]["gate_up"][2, :, 0], up_gate[32:].T)
    norm = tensors[f"{block}.ff_norm.weight"]
    np.testing.assert_array_equal(params["layers"]["mlp_norm"][2], norm)
    np.testing.assert_array_equal(params["final_norm"], tensors["model.transformer.ln_f.weight"])


@pytest.mark.parametrize(
    ("kind", "norm"), [("olmo", "layer"), ("hf_olmo", "layer"), ("hf_olmo", "rms")]
)
def test_every_weight_has_one_place_that_is_a_view_of_it(kind, norm):
    """What is written to all places of all tensors changes every weight once."""
    own = params(norm)
    leaves = [*own["layers"].values(), *(v for k, v in own.items() if k != "layers")]
    before = [leaf.copy() for leaf in leaves]
    for views in LAYOUTS[kind].places(own).values():
        for view in views:
            view += 1
    for leaf, earlier in zip(leaves, before, strict=True):
        np.testing.assert_array_equal(leaf, earlier + 1)


def test_matrices_are_outputs_by_inputs():
    own = params()
    places = transformers_places(own)
    assert len(places) == 2 + 2 * 7
    (down,) = places["model.layers.1.mlp.down_proj.weight"]
    np.testing.assert_array_equal(down, own["layers"]["down"][1].T)
    (out,) = places["model.layers.1.self_attn.o_proj.weight"]
    np.testing.assert_array_equal(out[5], own["layers"]["out"][1, :, :, 5].ravel())


def test_a_saved_shape_is_read_back():
    data = transformers_config(SHAPE, window=64)
    assert OlmoShape(**LAYOUTS["olmo"].fields(data)) == SHAPE
    assert (data["max_position_embeddings"], data["intermediate_size"]) == (64, 4)
    for name, allowed in LAYOUTS["olmo"].fixed(data).items():
        assert data.get(name) in allowed


def test_a_size_is_that_of_the_file():
    found = fields("transformers", "olmo")
    assert (found["mlp"], found["hidden"], found["heads"]) == (64, 16, 2)  # gate and value
    assert found["norm_epsilon"] == 1e-5


def test_ai2s_sizes_may_be_given_in_two_ways():
    changes = {"mlp_hidden_size": 64, "mlp_ratio": 7, "embedding_size": 80, "vocab_size": 77}
    assert fields("ai2_layer", "hf_olmo", **changes)["mlp"] == 64
    assert fields("ai2_layer", "hf_olmo", **changes)["vocabulary"] == 80
    found = fields("ai2_layer", "hf_olmo", **changes | {"mlp_hidden_size": 0, "embedding_size": 0})
    assert (found["mlp"], found["vocabulary"]) == (7 * 16, 77)


@pytest.mark.parametrize("changes", [{"norm": "rms"}, {"norm_epsilon": 1e-6}])
def test_models_that_transformers_lacks_have_no_config(changes):
    shape = OlmoShape(**{"layers": 1, "hidden": 4, "mlp": 4, "heads": 1, "vocabulary": 3} | changes)
    with pytest.raises(ConfigError, match="norm: transformers' olmo has 'layer' with 1e-05, got"):
        transformers_config(shape, window=8)


def test_weights_are_named_with_the_norms_that_there_are():
    plain = OlmoShape(layers=2, hidden=8, mlp=12, heads=2, vocabulary=5)
    rms = OlmoShape(layers=2, hidden=8, mlp=12, heads=2, vocabulary=5, norm="rms")
    assert plain.layer_weights == ("qkv", "out", "gate_up", "down")
    assert rms.layer_weights == (*plain.layer_weights, "attention_norm", "mlp_norm")
    assert plain.other_weights == ("embedding", "unembedding")
    assert rms.other_weights == ("embedding", "unembedding", "final_norm")
    assert rms.parameters - plain.parameters == rms.norm_parameters == 5 * 8
    assert plain.parameters == 2 * (4 * 64 + 18 * 8) + 2 * 5 * 8


def test_a_chosen_olmo_is_that_of_the_paper():
    shape = Olmo().shape(layers=2, hidden=8, mlp=12, heads=2, vocabulary=5)
    assert shape == OlmoShape(layers=2, hidden=8, mlp=12, heads=2, vocabulary=5)
    assert (shape.clip_qkv, shape.norm, shape.rope_theta) == (8.0, "layer", 10_000.0)
