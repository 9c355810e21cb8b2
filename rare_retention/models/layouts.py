"""The layouts in which OLMo is published: transformers' `olmo` and AI2's `hf_olmo`.

Both store a matrix as [outputs, inputs]. AI2's own has fused ones: queries, keys and values in
`att_proj`; in `ff_proj` what is gated, before its gate. DataDecide's models are of that kind.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rare_retention.config import ConfigError
from rare_retention.models.architecture import Architecture

Params = dict[str, Any]
"""The pure dict of an `Olmo`; its leaves are NumPy arrays."""

Places = dict[str, tuple[np.ndarray, ...]]
"""Name of a published tensor -> views of our weights that it holds, one above the other."""

_EPSILON = 1e-5  # of the norms of transformers' olmo, where it is no field


class Layout(NamedTuple):
    """One way of publishing an OLMo.

    Attributes:
        defaults: of fields that `config.json` may leave out and for which None is not the default.
        fields: of the `Architecture`, from the fields of `config.json`.
        fixed: what fields have to be for `Olmo` to be the same model, what is usual first.
        tied: name of the field that says whether the embeddings share their weights.
        unembedding: name of the tensor that is absent when they do.
        places: where its tensors stand in the pure dict of an `Olmo`.
    """

    defaults: dict[str, Any]
    fields: Callable[[Mapping[str, Any]], dict[str, Any]]
    fixed: Callable[[Mapping[str, Any]], dict[str, tuple[Any, ...]]]
    tied: str
    unembedding: str
    places: Callable[[Params], Places]


def _matrices(params: Params, layer: int) -> dict[str, np.ndarray]:
    """The matrices of one layer as [outputs, inputs], views of its weights."""
    own = {name: leaf[layer] for name, leaf in params["layers"].items()}
    hidden = own["qkv"].shape[0]
    qkv, gate_up = own["qkv"].reshape(hidden, 3, hidden), own["gate_up"]
    ours = {
        "q": qkv[:, 0],
        "k": qkv[:, 1],
        "v": qkv[:, 2],
        "out": own["out"].reshape(hidden, hidden),
        "gate": gate_up[:, 0],
        "up": gate_up[:, 1],
        "down": own["down"],
    }
    return {name: matrix.T for name, matrix in ours.items()}


def _transformers_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layers": data["num_hidden_layers"],
        "hidden": data["hidden_size"],
        "mlp": 2 * data["intermediate_size"],
        "heads": data["num_attention_heads"],
        "vocabulary": data["vocab_size"],
        "clip_qkv": data.get("clip_qkv"),
        "norm_epsilon": _EPSILON,
        "rope_theta": _theta(data),
    }


def _theta(data: Mapping[str, Any]) -> Any:
    """Base of the rotary wavelengths, which older files have as a field of its own."""
    return (data.get("rope_parameters") or data).get("rope_theta", 10_000.0)


def _transformers_fixed(data: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    plain = {"rope_theta": _theta(data), "rope_type": "default"}
    return {
        "hidden_act": ("silu",),
        "attention_bias": (False,),
        "num_key_value_heads": (data["num_attention_heads"], None),
        "rope_scaling": (None,),
        "rope_parameters": (plain, None),
    }


def transformers_places(params: Params) -> Places:
    """Where the tensors of transformers' layout stand in the pure dict of an `Olmo`."""
    places: Places = {
        "model.embed_tokens.weight": (params["embedding"],),
        "lm_head.weight": (params["unembedding"],),
    }
    names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "o_proj"}
    attention = {ours: f"self_attn.{theirs}" for ours, theirs in names.items()}
    mlp = {name: f"mlp.{name}_proj" for name in ("gate", "up", "down")}
    for i in range(len(params["layers"]["qkv"])):
        matrices = _matrices(params, i)
        for ours, theirs in (attention | mlp).items():
            places[f"model.layers.{i}.{theirs}.weight"] = (matrices[ours],)
    return places


def transformers_config(shape: Architecture, window: int) -> dict[str, Any]:
    """The content of `config.json` in transformers' layout.

    Args:
        shape: of the model.
        window: tokens of the sequences on which it was trained.

    Raises:
        ConfigError: transformers' `olmo` has no such model.
    """
    if shape.norm != "layer" or shape.norm_epsilon != _EPSILON:
        given = f"{shape.norm!r} with norm_epsilon = {shape.norm_epsilon:g}"
        raise ConfigError("norm", f"transformers' olmo has 'layer' with {_EPSILON:g}, got {given}")
    return {
        "architectures": ["OlmoForCausalLM"],
        "model_type": "olmo",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp // 2,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "hidden_act": "silu",
        "max_position_embeddings": window,
        "clip_qkv": shape.clip_qkv,
        "rope_theta": shape.rope_theta,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        # Its defaults are tokens of OLMo's own vocabulary.
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def _ai2_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layers": data["n_layers"],
        "hidden": data["d_model"],
        "mlp": data.get("mlp_hidden_size") or data["mlp_ratio"] * data["d_model"],
        "heads": data["n_heads"],
        "vocabulary": data["embedding_size"] or data["vocab_size"],
        "clip_qkv": data.get("clip_qkv"),
        "norm": "rms" if data["layer_norm_type"] == "rms" else "layer",
        "norm_epsilon": data["layer_norm_eps"],
        "rope_theta": data["rope_theta"],
    }


def _ai2_fixed(data: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {
        "activation_type": ("swiglu", None),
        "block_type": ("sequential", None),
        "block_group_size": (1, None),
        "rope": (True,),
        "alibi": (False, None),
        "n_kv_heads": (data["n_heads"], None),
        "multi_query_attention": (False, None),
        "include_bias": (False,),
        "bias_for_layer_norm": (False, None),
        "layer_norm_type": ("default", "rms"),
        "layer_norm_with_affine": (data["layer_norm_type"] == "rms",),
        "attention_layer_norm": (False, None),
        "embedding_layer_norm": (False, None),
        "norm_after": (False, None),
        "scale_logits": (False, None),
    }


def _ai2_places(params: Params) -> Places:
    top = "model.transformer"
    places: Places = {
        f"{top}.wte.weight": (params["embedding"],),
        f"{top}.ff_out.weight": (params["unembedding"],),
    }
    layers = params["layers"]
    norms = {"attn_norm": "attention_norm", "ff_norm": "mlp_norm"}
    for i in range(len(layers["qkv"])):
        block, own = f"{top}.blocks.{i}", _matrices(params, i)
        places[f"{block}.att_proj.weight"] = (own["q"], own["k"], own["v"])
        places[f"{block}.attn_out.weight"] = (own["out"],)
        places[f"{block}.ff_proj.weight"] = (own["up"], own["gate"])
        places[f"{block}.ff_out.weight"] = (own["down"],)
        if "final_norm" in params:
            for theirs, ours in norms.items():
                places[f"{block}.{theirs}.weight"] = (layers[ours][i],)
    if "final_norm" in params:
        places[f"{top}.ln_f.weight"] = (params["final_norm"],)
    return places


LAYOUTS = {
    "olmo": Layout(
        {"hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": False},
        _transformers_fields,
        _transformers_fixed,
        "tie_word_embeddings",
        "lm_head.weight",
        transformers_places,
    ),
    "hf_olmo": Layout(
        {
            "mlp_ratio": 4,
            "embedding_size": 50_304,
            "rope": False,
            "rope_theta": 10_000,
            "include_bias": True,
            "layer_norm_type": "default",
            "layer_norm_with_affine": True,
            "layer_norm_eps": 1e-5,
            "weight_tying": True,
        },
        _ai2_fields,
        _ai2_fixed,
        "weight_tying",
        "model.transformer.ff_out.weight",
        _ai2_places,
    ),
}
"""By `model_type` in `config.json`."""
