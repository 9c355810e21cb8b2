"""How models are published: which tensor holds which weights, which field of a config says what.

Each architecture has layouts of its own, beside its shape; here is what they are made of. All of
them store a matrix as [outputs, inputs].
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Params = dict[str, Any]
"""The pure dict of a language model; its leaves are NumPy arrays."""

Places = dict[str, tuple[np.ndarray, ...]]
"""Name of a published tensor -> views of our weights that it holds, one above the other."""


class Layout(NamedTuple):
    """One way of publishing an architecture.

    Attributes:
        defaults: of fields that `config.json` may leave out and for which None is not the default.
        shape: makes the architecture from its fields.
        fields: of the architecture, from the fields of `config.json`.
        fixed: what fields have to be for ours to be the same model, what is usual first.
        places: where its tensors stand in the pure dict of a model.
        config: content of `config.json` for a shape and the tokens of its sequences; raises a
            ConfigError where the layout has no such model. None: it is read only.
        tied: name of the field that says whether the embeddings share their weights, where our
            model has two all the same; the second is then a copy.
        unembedding: name of the tensor that is absent when they do.
    """

    defaults: dict[str, Any]
    shape: Callable[..., Any]
    fields: Callable[[Mapping[str, Any]], dict[str, Any]]
    fixed: Callable[[Mapping[str, Any]], dict[str, tuple[Any, ...]]]
    places: Callable[[Params], Places]
    config: Callable[[Any, int], dict[str, Any]] | None = None
    tied: str | None = None
    unembedding: str = ""


def rotary_base(data: Mapping[str, Any]) -> Any:
    """Base of the rotary wavelengths, which older files have as a field of its own."""
    return (data.get("rope_parameters") or data).get("rope_theta", 10_000.0)


def plain_attention(data: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """What fields of transformers' configs have to be: no biases, SwiGLU, unscaled rotation."""
    plain = {"rope_theta": rotary_base(data), "rope_type": "default"}
    return {
        "hidden_act": ("silu",),
        "attention_bias": (False,),
        "rope_scaling": (None,),
        "rope_parameters": (plain, None),
    }


def dimensions(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Architecture` that all of transformers' configs have."""
    return {
        "layers": data["num_hidden_layers"],
        "hidden": data["hidden_size"],
        "mlp": 2 * data["intermediate_size"],
        "heads": data["num_attention_heads"],
        "vocabulary": data["vocab_size"],
        "rope_theta": rotary_base(data),
    }


def described(shape: Any, window: int) -> dict[str, Any]:
    """The fields that `config.json` has in all of transformers' layouts.

    Args:
        shape: of the model, an `Architecture`.
        window: tokens of the sequences on which it was trained.
    """
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp // 2,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "hidden_act": "silu",
        "max_position_embeddings": window,
        "rope_theta": shape.rope_theta,
        "attention_bias": False,
        "torch_dtype": "float32",
        # The defaults are tokens of the published models' own vocabularies.
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def projections(own: Mapping[str, np.ndarray], layer: int) -> Places:
    """Places of the matrices of one layer that all of transformers' layouts name alike.

    Args:
        own: the matrices as [outputs, inputs]: q, k, v, out, gate, up, down.
        layer: from 0.
    """
    names = {name: f"self_attn.{name}_proj" for name in "qkv"} | {"out": "self_attn.o_proj"}
    names |= {name: f"mlp.{name}_proj" for name in ("gate", "up", "down")}
    top = f"model.layers.{layer}"
    return {f"{top}.{theirs}.weight": (own[ours],) for ours, theirs in names.items()}
