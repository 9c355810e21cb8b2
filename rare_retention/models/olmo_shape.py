"""What an OLMo is, and the layouts in which it is published: transformers' `olmo`, AI2's `hf_olmo`.

AI2's own has fused matrices: queries, keys and values in `att_proj`; in `ff_proj` what is gated,
before its gate. DataDecide's models are of that kind.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rare_retention.config import ConfigError, config
from rare_retention.models import layouts
from rare_retention.models.architecture import DESIGNS, Architecture, Compute, code
from rare_retention.models.layouts import Layout, Params, Places
from rare_retention.settings.matrix import Matrix

if TYPE_CHECKING:
    from flax import nnx

_EPSILON = 1e-5  # of the norms of transformers' olmo, where it is no field


@config
class OlmoShape(Architecture):
    """Shape of an OLMo; the defaults but for the sizes are those of OLMo-7B-0724 (paper App. B.2).

    Attributes:
        clip_qkv: queries, keys and values are clipped to its negative and itself; None leaves them.
        norm: "layer", LayerNorm without parameters; or "rms", RMSNorm with a weight.
    """

    clip_qkv: float | None = 8.0
    norm: Literal["layer", "rms"] = "layer"

    @property
    def kind(self) -> str:
        """Always "olmo"."""
        return "olmo"

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer's matrices: attention 4 D^2, SwiGLU 1.5 D M."""
        return 4 * self.hidden**2 + self.hidden * self.mlp + self.mlp // 2 * self.hidden

    @property
    def norm_parameters(self) -> int:
        """Parameters of all norms."""
        return (2 * self.layers + 1) * self.hidden if self.norm == "rms" else 0

    @property
    def layer_weights(self) -> tuple[str, ...]:
        """Names of all weights of a layer."""
        norms = ("attention_norm", "mlp_norm") if self.norm == "rms" else ()
        return ("qkv", "out", "gate_up", "down", *norms)

    @property
    def other_weights(self) -> tuple[str, ...]:
        """Names of all weights outside the layers."""
        return ("embedding", "unembedding", *(("final_norm",) if self.norm == "rms" else ()))

    @property
    def neuron_axes(self) -> dict[str, int]:
        """Axes of the SwiGLU's neurons."""
        return {"gate_up": 2, "down": 0}

    @property
    def matrices(self) -> dict[str, Matrix]:
        """Each of queries, keys and values with all heads, the gate, what it gates, ways back."""
        return {
            "qkv": Matrix(inputs=(-4,), outputs=(-2, -1)),  # one of each
            "out": Matrix(inputs=(-3, -2)),
            "gate_up": Matrix(inputs=(-3,)),  # the gate and what it gates
            "down": Matrix(),
        }

    def build(self, compute: Compute, rngs: "nnx.Rngs") -> Any:
        """An `OlmoModel`, see `Architecture.build`."""
        return code("olmo").OlmoModel(self, compute, rngs=rngs)

    @staticmethod
    def published() -> dict[str, Layout]:
        """Two layouts; the second, AI2's own, is read only."""
        return LAYOUTS


@DESIGNS.add
@config
class Olmo:
    """The paper's architecture, AI2's OLMo of 2024.

    Attributes:
        kind: tag of this design in a config tree.
        clip_qkv: see `OlmoShape`.
        norm: see `OlmoShape`; AI2's DataDecide models have "rms".
    """

    kind: Literal["olmo"] = "olmo"
    clip_qkv: float | None = 8.0
    norm: Literal["layer", "rms"] = "layer"

    def shape(
        self, *, layers: int, hidden: int, mlp: int, heads: int, vocabulary: int
    ) -> OlmoShape:
        """The shape of these dimensions, see `Architecture`."""
        return OlmoShape(
            layers=layers,
            hidden=hidden,
            mlp=mlp,
            heads=heads,
            vocabulary=vocabulary,
            clip_qkv=self.clip_qkv,
            norm=self.norm,
        )


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
    found = layouts.dimensions(data)
    return found | {"clip_qkv": data.get("clip_qkv"), "norm_epsilon": _EPSILON}


def _transformers_fixed(data: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    heads = data["num_attention_heads"]
    return {"num_key_value_heads": (heads, None)} | layouts.plain_attention(data)


def transformers_places(params: Params) -> Places:
    """Where the tensors of transformers' layout stand in the pure dict of an `OlmoModel`."""
    places: Places = {
        "model.embed_tokens.weight": (params["embedding"],),
        "lm_head.weight": (params["unembedding"],),
    }
    for i in range(len(params["layers"]["qkv"])):
        places |= layouts.projections(_matrices(params, i), i)
    return places


def transformers_config(shape: OlmoShape, window: int) -> dict[str, Any]:
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
        **layouts.described(shape, window),
        "num_key_value_heads": shape.heads,
        "clip_qkv": shape.clip_qkv,
        "tie_word_embeddings": False,
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
        defaults={"hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": False},
        shape=OlmoShape,
        fields=_transformers_fields,
        fixed=_transformers_fixed,
        places=transformers_places,
        config=transformers_config,
        tied="tie_word_embeddings",
        unembedding="lm_head.weight",
    ),
    "hf_olmo": Layout(
        defaults={
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
        shape=OlmoShape,
        fields=_ai2_fields,
        fixed=_ai2_fixed,
        places=_ai2_places,
        tied="weight_tying",
        unembedding="model.transformer.ff_out.weight",
    ),
}
"""By `model_type` in `config.json`."""
