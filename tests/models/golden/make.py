"""Makes the golden models: small ones of transformers and of AI2, and what those make of tokens.

Run where torch, transformers and ai2-olmo are installed: `python tests/models/golden/make.py`.
Each model gets a folder here that holds:

    config.json, model.safetensors     as its library publishes it, in float32
    gradient/                          the gradient of the mean loss, in the same layout
    golden.npz                         tokens [B, T], logits [B, T, V] and mean loss, in float64

Everything is computed in float64, but for norms and rotary angles, for which both libraries turn to
float32: the numbers are good to about 1e-6. Weights are drawn large enough that clipping acts.
"""

import copy
import json
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from olmo.config import ActivationType, LayerNormType, ModelConfig
from olmo.model import OLMo
from transformers import OlmoConfig, OlmoForCausalLM

HERE = Path(__file__).parent
VOCABULARY, HIDDEN, LAYERS, HEADS, HALF = 80, 16, 3, 2, 32
CLIP = 0.8


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


def ai2_model(norm: LayerNormType) -> torch.nn.Module:
    """AI2's `OLMo` with LayerNorm without parameters, or as in DataDecide."""
    rms = norm == LayerNormType.rms
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
    if isinstance(model, OlmoForCausalLM):
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


if __name__ == "__main__":
    make(transformers_model(), HERE / "transformers", 128)
    make(ai2_model(LayerNormType.default), HERE / "ai2_layer", 40)
    make(ai2_model(LayerNormType.rms), HERE / "ai2_rms", 40)
