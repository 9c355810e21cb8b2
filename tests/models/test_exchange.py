"""Published models read and written: every weight in its place, everything foreign refused."""

import json
import shutil
import tempfile

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from etils import epath
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.errors import UserError
from rare_retention.models import exchange
from rare_retention.models.architecture import Compute
from rare_retention.models.exchange import CONFIG, INDEX, WEIGHTS, load, save
from rare_retention.models.llama_shape import LlamaShape
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.models.vocabulary import logits
from rare_retention.parallel import logical_names

GOLDEN = epath.Path(__file__).parent / "golden"
SMALL = OlmoShape(layers=2, hidden=12, mlp=20, heads=3, vocabulary=7, rope_theta=500.0)


def weights(shape):
    """Random weights for a model of that shape."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32), exchange._empty(shape)
    )


def identical(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(found))


@pytest.fixture
def published(tmp_path):
    """A copy of a golden model that may be changed: f(name) -> its folder."""

    def copy(name):
        shutil.copytree(GOLDEN / name, tmp_path / name)
        return epath.Path(tmp_path / name)

    return copy


def change(folder, **fields):
    """Changes fields of config.json; a field of None is left out."""
    data = json.loads((folder / CONFIG).read_text()) | fields
    kept = {key: value for key, value in data.items() if value is not None}
    (folder / CONFIG).write_text(json.dumps(kept))


def rewrite(folder, edit):
    """Passes the tensors through `edit`."""
    tensors = safetensors.numpy.load_file(folder / WEIGHTS)
    safetensors.numpy.save_file(edit(tensors), folder / WEIGHTS)


@settings(max_examples=8)
@given(
    layers=st.integers(1, 3),
    heads=st.integers(1, 3),
    half=st.integers(1, 3),
    mlp=st.integers(1, 5),
    clip=st.none() | st.floats(0.1, 10),
)
def test_what_is_saved_is_loaded_to_the_bit(tmp_path_factory, layers, heads, half, mlp, clip):
    shape = OlmoShape(
        layers=layers,
        hidden=2 * half * heads,
        mlp=2 * mlp,
        heads=heads,
        vocabulary=5,
        clip_qkv=clip,
    )
    params = weights(shape)
    folder = epath.Path(tmp_path_factory.mktemp("saved"))
    save(folder, shape, params)
    found, loaded = load(folder)
    assert found == shape
    identical(loaded, params)


@pytest.mark.parametrize("name", ["transformers", "olmo2", "llama", "llama_tied"])
def test_published_models_are_written_as_they_were(tmp_path, name):
    """The same tensors under the same names to the bit; loaded again, the same weights."""
    shape, params = load(GOLDEN / name)
    folder = epath.Path(tmp_path / name)
    save(folder, shape, params, window=2048)
    theirs, ours = (safetensors.numpy.load_file(at / name / WEIGHTS) for at in (GOLDEN, tmp_path))
    assert set(theirs) == set(ours)
    identical(ours, theirs)
    assert ("lm_head.weight" in ours) == (name != "llama_tied")
    found, again = load(folder)
    assert found == shape
    identical(again, params)
    config, published = (json.loads((at / name / CONFIG).read_text()) for at in (tmp_path, GOLDEN))
    for key in {*config} & {*published}:
        assert config[key] == published[key], key


@settings(max_examples=8)
@given(
    kv=st.integers(1, 2),
    groups=st.integers(1, 2),
    half=st.integers(1, 2),
    tied=st.booleans(),
    second=st.booleans(),
)
def test_saved_llamas_are_loaded_to_the_bit(tmp_path_factory, kv, groups, half, tied, second):
    shape = LlamaShape(
        layers=2,
        hidden=2 * half * kv * groups,
        mlp=6,
        heads=kv * groups,
        kv_heads=kv,
        vocabulary=5,
        tied=tied,
        query_key_norm=second,
        reordered_norm=second,
    )
    params = weights(shape)
    folder = epath.Path(tmp_path_factory.mktemp("saved"))
    save(folder, shape, params)
    found, loaded = load(folder)
    assert found == shape
    identical(loaded, params)


def test_what_is_only_read_is_not_written(tmp_path, monkeypatch):
    reading = exchange.layouts()["hf_olmo"]
    monkeypatch.setattr(exchange, "layouts", lambda: {"olmo": reading})
    with pytest.raises(UserError, match="models of kind 'olmo' are read, but not written"):
        save(epath.Path(tmp_path / "new"), SMALL, weights(SMALL))


def test_large_models_are_cut_into_files(tmp_path, monkeypatch):
    """Each within the limit or of one tensor; the index names every tensor once."""
    monkeypatch.setattr(exchange, "_SHARD", 1000)
    folder, params = epath.Path(tmp_path / "cut"), weights(SMALL)
    save(folder, SMALL, params, window=64)
    index = json.loads((folder / INDEX).read_text())
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(files) > 2 and files == sorted(set(index["weight_map"].values()))
    sizes = []
    for file in files:
        tensors = safetensors.numpy.load_file(folder / file)
        assert all(index["weight_map"][name] == file for name in tensors)
        sizes.append(sum(tensor.nbytes for tensor in tensors.values()))
        assert len(tensors) == 1 or sizes[-1] <= 1000
    assert sum(sizes) == index["metadata"]["total_size"] == 4 * SMALL.parameters
    shape, loaded = load(folder)
    assert shape == SMALL
    identical(loaded, params)
    (folder / files[1]).unlink()
    with pytest.raises(UserError, match=f"there is no {files[1]}"):
        load(folder)


def test_files_on_another_machine_are_copied_here(tmp_path, monkeypatch):
    """Through a temporary folder, which is gone afterwards."""

    class Far:
        name = WEIGHTS

        def __str__(self):
            return f"gs://bucket/{WEIGHTS}"

        def open(self, mode):
            return (GOLDEN / "transformers" / WEIGHTS).open(mode)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(exchange, "_files", lambda folder: [Far()])
    (tmp_path / CONFIG).write_bytes((GOLDEN / "transformers" / CONFIG).read_bytes())
    _, params = load(epath.Path(tmp_path))
    monkeypatch.undo()
    identical(params, load(GOLDEN / "transformers")[1])
    assert [path.name for path in tmp_path.iterdir()] == [CONFIG]


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_16_bit_weights_are_read_exactly(published, dtype):
    folder = published("transformers")
    rewrite(folder, lambda tensors: {name: t.astype(dtype) for name, t in tensors.items()})
    _, params = load(folder)
    _, wide = load(GOLDEN / "transformers")
    identical(params, jax.tree.map(lambda leaf: leaf.astype(dtype).astype(np.float32), wide))


@pytest.mark.parametrize(
    ("name", "tied", "tensor"),
    [
        ("transformers", "tie_word_embeddings", "lm_head.weight"),
        ("ai2_layer", "weight_tying", "model.transformer.ff_out.weight"),
    ],
)
def test_tied_embeddings_are_copied(published, name, tied, tensor):
    folder = published(name)
    change(folder, **{tied: True})
    rewrite(folder, lambda tensors: {key: t for key, t in tensors.items() if key != tensor})
    _, params = load(folder)
    np.testing.assert_array_equal(params["unembedding"], params["embedding"])
    assert not np.shares_memory(params["unembedding"], params["embedding"])


FOREIGN = {
    "mixtral": ("transformers", {"model_type": "mixtral"}, "model_type 'mixtral' is another"),
    "biases": ("transformers", {"attention_bias": True}, "attention_bias = True is not supported"),
    "activation": ("transformers", {"hidden_act": "gelu"}, "hidden_act = 'gelu' is not supported"),
    "grouped": ("transformers", {"num_key_value_heads": 1}, "num_key_value_heads = 1 is not"),
    "scaled": ("transformers", {"rope_scaling": {"factor": 2}}, "rope_scaling = {'factor': 2} is"),
    "yarn": (
        "transformers",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}},
        "rope_parameters = {'rope_type': 'yarn', 'rope_theta': 10000.0} is not supported",
    ),
    "no size": ("transformers", {"hidden_size": None}, "hidden_size: required"),
    "text": ("transformers", {"vocab_size": "80"}, "vocabulary: expected an integer, got '80'"),
    "heads": (
        "transformers",
        {"num_attention_heads": 3, "num_key_value_heads": 3},
        "heads: 3 do not cut",
    ),
    "biases of ai2": ("ai2_rms", {"include_bias": None}, "include_bias = True is not supported"),
    "alibi": ("ai2_rms", {"alibi": True}, "alibi = True is not supported; expected False"),
    "no rope": ("ai2_rms", {"rope": None}, "rope = False is not supported; expected True"),
    "relu": ("ai2_rms", {"activation_type": "relu"}, "activation_type = 'relu' is not supported"),
    "parallel": ("ai2_rms", {"block_type": "parallel"}, "block_type = 'parallel' is not"),
    "multi-query": ("ai2_rms", {"multi_query_attention": True}, "multi_query_attention = True"),
    "affine": ("ai2_layer", {"layer_norm_with_affine": True}, "layer_norm_with_affine = True is"),
    "plain rms": ("ai2_rms", {"layer_norm_with_affine": False}, "layer_norm_with_affine = False"),
    "other norm": ("ai2_rms", {"layer_norm_type": "low_precision"}, "layer_norm_type = 'low_pre"),
    "qk-norm": ("ai2_rms", {"attention_layer_norm": True}, "attention_layer_norm = True is not"),
    "norm after": ("ai2_rms", {"norm_after": True}, "norm_after = True is not supported"),
    "olmo2's biases": ("olmo2", {"attention_bias": True}, "attention_bias = True is not supported"),
    "olmo2's activation": ("olmo2", {"hidden_act": "gelu"}, "hidden_act = 'gelu' is not supported"),
    "window": ("olmo2", {"sliding_window": 128}, "sliding_window = 128 is not supported"),
    "llama's scaling": ("llama", {"rope_scaling": {"factor": 8}}, "rope_scaling = {'factor': 8}"),
    "llama 3.2": (
        "llama",
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0}},
        "rope_parameters = {'rope_type': 'llama3', 'rope_theta': 500000.0, 'factor': 32.0} is not",
    ),
    "mlp's biases": ("llama", {"mlp_bias": True}, "mlp_bias = True is not supported"),
    "wide heads": ("llama", {"head_dim": 8}, "head_dim = 8 is not supported; expected 4"),
    "uneven groups": ("llama", {"num_key_value_heads": 3}, "kv_heads: expected a divisor of heads"),
    "no heads": ("llama", {"num_attention_heads": None}, "num_attention_heads: required"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_other_architectures_are_refused_by_name(published, case):
    name, fields, message = FOREIGN[case]
    folder = published(name)
    change(folder, **fields)
    with pytest.raises(UserError) as caught:
        load(folder)
    text = str(caught.value)
    assert text.startswith(f"{folder / CONFIG}: ") and message in text and "\n" not in text


def _without(name):
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


WRONG = {
    "missing": (_without("lm_head.weight"), "there is no tensor lm_head.weight; is config.json"),
    "several missing": (lambda tensors: {}, "model.embed_tokens.weight and 22 others"),
    "unknown": (lambda t: t | {"model.x": t["lm_head.weight"]}, "no place for tensor model.x"),
    "shape": (
        lambda t: t | {"lm_head.weight": t["lm_head.weight"][:-1]},
        "lm_head.weight has shape [79, 16]; config.json says [80, 16]",
    ),
    "type": (
        lambda t: t | {"lm_head.weight": t["lm_head.weight"].astype(np.int8)},
        "lm_head.weight is of type I8; expected F32, BF16, F16",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_weights_that_do_not_fit_are_one_line(published, case):
    edit, message = WRONG[case]
    folder = published("transformers")
    rewrite(folder, edit)
    with pytest.raises(UserError) as caught:
        load(folder)
    text = str(caught.value)
    assert text.startswith(str(folder)) and message in text and "\n" not in text


def test_damaged_and_absent_files_are_one_line(published, tmp_path):
    folder = published("transformers")
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"model.safetensors: damaged, not valid safetensors"):
        load(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(UserError, match=r"there is no model.safetensors; other formats are not"):
        load(folder)
    (folder / INDEX).write_text("{}")
    with pytest.raises(UserError, match="names no files"):
        load(folder)
    (folder / CONFIG).write_text("[]")
    with pytest.raises(UserError, match="model_type None is another architecture"):
        load(folder)
    with pytest.raises(UserError, match="holds no published model"):
        load(epath.Path(tmp_path / "nothing"))


@pytest.mark.parametrize("changes", [{"norm": "rms"}, {"norm_epsilon": 1e-6}])
def test_models_that_transformers_lacks_are_not_saved(tmp_path, changes):
    fields = {"layers": 1, "hidden": 4, "mlp": 4, "heads": 1, "vocabulary": 3} | changes
    shape = OlmoShape(**fields)
    with pytest.raises(UserError, match="norm: transformers' olmo has 'layer' with 1e-05, got"):
        save(epath.Path(tmp_path / "new"), shape, weights(shape))
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="is not empty; choose a new folder"):
        save(epath.Path(tmp_path), SMALL, weights(SMALL))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def scores(shape, params, tokens):
    """Our logits."""
    with logical_names():
        one = shape.build(Compute(), nnx.Rngs(0))
    nnx.update(one, params)
    return np.asarray(logits(one(tokens.astype(np.int32)), one.readout))


@pytest.mark.slow
def test_both_ways_with_transformers_itself(tmp_path):
    """Logits to 1e-4: ours in their code after `save`, theirs in ours after `load`."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokens = np.random.default_rng(0).integers(0, 90, (3, 50))

    def theirs(other):
        with torch.no_grad():
            return other(torch.from_numpy(tokens)).logits.numpy()

    shape = OlmoShape(
        layers=2, hidden=32, mlp=96, heads=2, vocabulary=90, clip_qkv=0.7, rope_theta=700.0
    )
    params = weights(shape)
    save(epath.Path(tmp_path / "ours"), shape, params)
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert other.dtype == torch.float32
    np.testing.assert_allclose(theirs(other), scores(shape, params, tokens), atol=1e-4)

    config = transformers.OlmoConfig(
        vocab_size=90,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        clip_qkv=1.0,
        initializer_range=0.3,
        pad_token_id=None,
        eos_token_id=None,
    )
    other = transformers.OlmoForCausalLM(config).eval()
    other.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert (tmp_path / "theirs" / INDEX).exists()
    np.testing.assert_allclose(
        scores(*load(epath.Path(tmp_path / "theirs")), tokens), theirs(other), atol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_transformers_reads_our_llamas(tmp_path, tied, second):
    """Logits to 1e-4 in its code after `save`, OLMo 2's and Llama's."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokens = np.random.default_rng(0).integers(0, 90, (3, 50))
    shape = LlamaShape(
        layers=2,
        hidden=32,
        mlp=96,
        heads=4,
        kv_heads=2,
        vocabulary=90,
        rope_theta=700.0,
        norm_epsilon=1e-3,
        tied=tied,
        query_key_norm=second,
        reordered_norm=second,
    )
    # Larger ones make attention so sharp that roundings show.
    params = jax.tree.map(lambda leaf: 0.3 * leaf, weights(shape))
    save(epath.Path(tmp_path / "ours"), shape, params)
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert other.dtype == torch.float32
    with torch.no_grad():
        theirs = other(torch.from_numpy(tokens)).logits.numpy()
    np.testing.assert_allclose(scores(shape, params, tokens), theirs, atol=1e-5)
