"""What an OLMo 2 and a Llama are, and transformers' layouts of both, `olmo2` and `llama`.

They are one architecture: OLMo 2 puts norms on queries and keys, and moves the others.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rare_retention.config import ConfigError, Positive, config
from rare_retention.models import layouts
from rare_retention.models.architecture import DESIGNS, Architecture, Compute, code
from rare_retention.models.layouts import Layout, Params, Places
from rare_retention.settings.matrix import Matrix

if TYPE_CHECKING:
    from flax import nnx


@config
class LlamaShape(Architecture):
    """Shape of a Llama or an OLMo 2: no biases, SwiGLU, RMSNorm, grouped queries.

    Attributes:
        kv_heads: K, heads of keys and values; H / K queries share one. None: H.
        query_key_norm: RMSNorm of queries and of keys over all heads at once, before rotation.
        reordered_norm: norms stand behind attention and MLP, before their outputs are added, and
            none before them.
        tied: the output words are the input's embedding.
    """

    kv_heads: Positive | None = None
    query_key_norm: bool = False
    reordered_norm: bool = False
    tied: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.key_heads:
            raise ConfigError(
                "kv_heads",
                f"expected a divisor of heads = {self.heads}, got {self.kv_heads}",
            )

    @property
    def key_heads(self) -> int:
        """K, heads of keys and values."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def kind(self) -> str:
        """The published architecture that it is, or is closest to."""
        return "olmo2" if self.reordered_norm else "llama"

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer's matrices: attention 2 D^2 (1 + K / H), SwiGLU 1.5 D M."""
        attention = 2 * self.hidden * (self.hidden + self.key_heads * self.head_size)
        return attention + self.hidden * self.mlp + self.mlp // 2 * self.hidden

    @property
    def norm_parameters(self) -> int:
        """Parameters of all norms."""
        heads = self.heads + self.key_heads if self.query_key_norm else 0
        return self.layers * (2 * self.hidden + heads * self.head_size) + self.hidden

    @property
    def layer_weights(self) -> tuple[str, ...]:
        """Names of all weights of a layer."""
        heads = ("query_norm", "key_norm") if self.query_key_norm else ()
        return ("q", "kv", "out", "gate_up", "down", *heads, "attention_norm", "mlp_norm")

    @property
    def other_weights(self) -> tuple[str, ...]:
        """Names of all weights outside the layers."""
        return ("embedding", *(() if self.tied else ("unembedding",)), "final_norm")

    @property
    def neuron_axes(self) -> dict[str, int]:
        """Axes of the SwiGLU's neurons."""
        return {"gate_up": 2, "down": 0}

    @property
    def matrices(self) -> dict[str, Matrix]:
        """Each of queries, keys and values with all heads, the gate, what it gates, ways back."""
        return {
            "q": Matrix(inputs=(-3,), outputs=(-2, -1)),
            "kv": Matrix(inputs=(-4,), outputs=(-2, -1)),  # keys and values
            "out": Matrix(inputs=(-3, -2)),
            "gate_up": Matrix(inputs=(-3,)),  # the gate and what it gates
            "down": Matrix(),
        }

    def build(self, compute: Compute, rngs: "nnx.Rngs") -> Any:
        """A `LlamaModel`, see `Architecture.build`."""
        return code("llama").LlamaModel(self, compute, rngs=rngs)

    @staticmethod
    def published() -> dict[str, Layout]:
        """Transformers' two layouts."""
        return LAYOUTS


@DESIGNS.add
@config
class Olmo2:
    """AI2's OLMo 2 (2025, arXiv:2501.00656): reordered norms, norms of queries and keys.

    Attributes:
        kind: tag of this design in a config tree.
        kv_heads: heads of keys and values; None: as many as of queries.
    """

    kind: Literal["olmo2"] = "olmo2"
    kv_heads: Positive | None = None

    def shape(
        self, *, layers: int, hidden: int, mlp: int, heads: int, vocabulary: int
    ) -> LlamaShape:
        """The shape of these dimensions, see `Architecture`."""
        return LlamaShape(
            layers=layers,
            hidden=hidden,
            mlp=mlp,
            heads=heads,
            vocabulary=vocabulary,
            kv_heads=self.kv_heads,
            query_key_norm=True,
            reordered_norm=True,
            norm_epsilon=1e-6,
            rope_theta=500_000.0,
        )


@DESIGNS.add
@config
class Llama:
    """Meta's Llama 2 and 3 and their kin, without the latter's scaling of rotary positions.

    Attributes:
        kind: tag of this design in a config tree.
        kv_heads: heads of keys and values; None: as many as of queries.
        tied: the output words are the input's embedding.
        rope_theta: base of the rotary wavelengths: 500,000 in Llama 3, 10,000 in Llama 2.
    """

    kind: Literal["llama"] = "llama"
    kv_heads: Positive | None = None
    tied: bool = False
    rope_theta: float = 500_000.0

    def shape(
        self, *, layers: int, hidden: int, mlp: int, heads: int, vocabulary: int
    ) -> LlamaShape:
        """The shape of these dimensions, see `Architecture`."""
        return LlamaShape(
            layers=layers,
            hidden=hidden,
            mlp=mlp,
            heads=heads,
            vocabulary=vocabulary,
            kv_heads=self.kv_heads,
            tied=self.tied,
            rope_theta=self.rope_theta,
        )


def _matrices(params: Params, layer: int) -> dict[str, np.ndarray]:
    """The matrices of one layer as [outputs, inputs], views of its weights."""
    own = {name: params["layers"][name][layer] for name in ("q", "kv", "out", "gate_up", "down")}
    hidden = own["q"].shape[0]
    kv, gate_up = own["kv"].reshape(hidden, 2, -1), own["gate_up"]
    ours = {
        "q": own["q"].reshape(hidden, hidden),
        "k": kv[:, 0],
        "v": kv[:, 1],
        "out": own["out"].reshape(hidden, hidden),
        "gate": gate_up[:, 0],
        "up": gate_up[:, 1],
        "down": own["down"],
    }
    return {name: matrix.T for name, matrix in ours.items()}


def _places(params: Params, norms: Mapping[str, str]) -> Places:
    """Where the tensors stand in the pure dict of a `LlamaModel`.

    Args:
        params: the pure dict.
        norms: name of a norm in a published layer -> its name in ours.
    """
    places: Places = {"model.embed_tokens.weight": (params["embedding"],)}
    layers = params["layers"]
    for i in range(len(layers["q"])):
        places |= layouts.projections(_matrices(params, i), i)
        for theirs, ours in norms.items():
            places[f"model.layers.{i}.{theirs}.weight"] = (layers[ours][i].reshape(-1),)
    places["model.norm.weight"] = (params["final_norm"],)
    if "unembedding" in params:
        places["lm_head.weight"] = (params["unembedding"],)
    return places


def _olmo2_places(params: Params) -> Places:
    return _places(
        params,
        {
            "self_attn.q_norm": "query_norm",
            "self_attn.k_norm": "key_norm",
            "post_attention_layernorm": "attention_norm",
            "post_feedforward_layernorm": "mlp_norm",
        },
    )


def _llama_places(params: Params) -> Places:
    return _places(
        params, {"input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}
    )


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    norms = data["model_type"] == "olmo2"
    return layouts.dimensions(data) | {
        "norm_epsilon": data["rms_norm_eps"],
        "kv_heads": data.get("num_key_value_heads"),
        "query_key_norm": norms,
        "reordered_norm": norms,
        "tied": data["tie_word_embeddings"],
    }


def _fixed(data: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    size = data["hidden_size"] // data["num_attention_heads"]
    return layouts.plain_attention(data) | {
        "mlp_bias": (False, None),
        "head_dim": (size, None),
        "sliding_window": (None,),
    }


def _config(shape: LlamaShape, window: int) -> dict[str, Any]:
    """The content of `config.json`, see `Layout.config`."""
    if shape.query_key_norm != shape.reordered_norm:
        raise ConfigError(
            "query_key_norm",
            "transformers' olmo2 has both it and reordered_norm, its llama has neither; got "
            f"query_key_norm = {shape.query_key_norm}, reordered_norm = {shape.reordered_norm}",
        )
    return {
        "architectures": ["Olmo2ForCausalLM" if shape.reordered_norm else "LlamaForCausalLM"],
        "model_type": shape.kind,
        **layouts.described(shape, window),
        "num_key_value_heads": shape.key_heads,
        "rms_norm_eps": shape.norm_epsilon,
        "tie_word_embeddings": shape.tied,
    }


_DEFAULTS = {"hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": False}

LAYOUTS = {
    "olmo2": Layout(
        defaults=_DEFAULTS | {"rms_norm_eps": 1e-5},
        shape=LlamaShape,
        fields=_fields,
        fixed=_fixed,
        places=_olmo2_places,
        config=_config,
    ),
    "llama": Layout(
        defaults=_DEFAULTS | {"rms_norm_eps": 1e-6},
        shape=LlamaShape,
        fields=_fields,
        fixed=_fixed,
        places=_llama_places,
        config=_config,
    ),
}
"""By `model_type` in `config.json`; defaults are those of transformers' own configs."""
