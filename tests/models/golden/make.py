"""Makes the golden models: small ones of transformers and of AI2, and what those make of tokens.

Run where torch and transformers are installed, and ai2-olmo for its own:
`python tests/models/golden/make.py`, for all, or followed by some names of `MODELS`. Each model
gets a folder here that holds:

    config.json, model.safetensors     as its library publishes it, in float32
    gradient/                          the gradient of the mean loss, in the same layout
    golden.npz                         tokens [B, T], logits [B, T, V] and mean loss, in float64

Everything is computed in float64, but for norms and rotary angles, for which both libraries turn to
float32: the numbers are good to about 1e-6. Weights are drawn large enough that clipping acts.
"""

import copy
import functools
import json
import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    PreTrainedModel,
)

HERE = Path(__file__).parent
VOCABULARY, HIDDEN, LAYERS, HEADS, HALF = 80, 16, 3, 2, 32
CLIP = 0.8
GROUPED = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": HALF,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "attn_implementation": "sdpa",
}


def transformers_model() -> torch.nn.Module:
    """An `OlmoForCausalLM`; `eager` attention would take its softmax in float32."""
    config = OlmoConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=HALF,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        clip_qkv=CLIP,
        pad_token_id=None,
        eos_token_id=None,
        attn_implementation="sdpa",
    )
    return OlmoForCausalLM(config)


def olmo2_model() -> torch.nn.Module:
    """An `Olmo2ForCausalLM`; queries in pairs share keys, epsilon is large enough to be seen."""
    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    config = Olmo2Config(**GROUPED, num_key_value_heads=2, rms_norm_eps=1e-3, rope_parameters=rope)
    return Olmo2ForCausalLM(config)


def llama_model(tied: bool) -> torch.nn.Module:
    """A `LlamaForCausalLM`; if it is tied, all queries share one key."""
    config = LlamaConfig(
        **GROUPED,
        num_key_value_heads=1 if tied else 2,
        rms_norm_eps=1e-3,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0 if tied else 10_000.0},
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(config)


def ai2_model(rms: bool) -> torch.nn.Module:
    """AI2's `OLMo` with LayerNorm without parameters, or as in DataDecide."""
    from olmo.config import ActivationType, LayerNormType, ModelConfig
    from olmo.model import OLMo

    norm = LayerNormType.rms if rms else LayerNormType.default
    config = ModelConfig(
        d_model=HIDDEN,
        n_heads=HEADS,
        n_layers=LAYERS,
        mlp_ratio=2 * HALF // HIDDEN,
        clip_qkv=None if rms else CLIP,
        activation_type=ActivationType.swiglu,
        rope=True,
        rope_theta=500_000 if rms else 10_000,
        include_bias=False,
        bias_for_layer_norm=False,
        layer_norm_type=norm,
        layer_norm_with_affine=rms,
        layer_norm_eps=1e-6 if rms else 1e-5,
        attention_dropout=0.0,
        residual_dropout=0.0,
        embedding_dropout=0.0,
        weight_tying=False,
        vocab_size=VOCABULARY,
        embedding_size=VOCABULARY,
    )
    return OLMo(config)


def draw(model: torch.nn.Module) -> None:
    """Weights of order 1 / sqrt(inputs), and norms around 1, that float32 holds exactly."""
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        scaled = noise * weight.shape[1] ** -0.5 if weight.ndim == 2 else 1 + 0.3 * noise
        weight.data = scaled.double()


def publish(model: torch.nn.Module, folder: Path) -> None:
    """Writes `config.json` and `model.safetensors` as the model's library does."""
    model = copy.deepcopy(model).float()
    if isinstance(model, PreTrainedModel):
        model.save_pretrained(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["OLMoForCausalLM"], "model_type": "hf_olmo"}
    text = json.dumps(config | model.config.asdict(), indent=2)
    (folder / "config.json").write_text(text + "\n")
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def make(model: torch.nn.Module, folder: Path, length: int) -> None:
    """Writes one golden model."""
    draw(model)
    model.double().eval()
    publish(model, folder)
    tokens = torch.from_numpy(np.random.default_rng(1).integers(0, VOCABULARY, (2, length)))
    logits = model(tokens).logits
    targets = tokens[:, 1:].reshape(-1)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets)
    loss.backward()
    np.savez_compressed(
        folder / "golden.npz",
        tokens=tokens.numpy(),
        logits=logits.detach().numpy(),
        loss=loss.detach().numpy(),
    )
    for weight in model.parameters():
        weight.data = weight.grad
    publish(model, folder / "gradient")


MODELS = {
    "transformers": (transformers_model, 128),
    "olmo2": (olmo2_model, 32),
    "llama": (functools.partial(llama_model, tied=False), 32),
    "llama_tied": (functools.partial(llama_model, tied=True), 32),
    "ai2_layer": (functools.partial(ai2_model, rms=False), 40),
    "ai2_rms": (functools.partial(ai2_model, rms=True), 40),
}
"""Name of each folder -> its model, and the tokens of each of its sequences."""


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        model, length = MODELS[name]
        make(model(), HERE / name, length)
