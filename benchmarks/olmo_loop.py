"""The peer: AI2's own PyTorch OLMo, trained by a plain loop."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from olmo.config import LayerNormType, ModelConfig
from olmo.model import OLMo
from torch.nn import functional

from rare_retention.models.layouts import Params
from rare_retention.models.olmo_shape import LAYOUTS, OlmoShape
from rare_retention.optimizer import Optimizer


def published(shape: OlmoShape, params: Params, window: int, device: str) -> OLMo:
    """AI2's model of that shape with our weights.

    Args:
        shape: of the model.
        params: pure dict of one `OlmoModel`, NumPy.
        window: T.
        device: of PyTorch.
    """
    model = OLMo(
        ModelConfig(
            d_model=shape.hidden,
            n_heads=shape.heads,
            n_layers=shape.layers,
            mlp_hidden_size=shape.mlp,
            clip_qkv=shape.clip_qkv,
            rope=True,
            include_bias=False,
            layer_norm_type=LayerNormType.default,
            layer_norm_with_affine=False,
            attention_layer_norm_with_affine=False,
            attention_dropout=0.0,
            residual_dropout=0.0,
            embedding_dropout=0.0,
            weight_tying=False,
            vocab_size=shape.vocabulary,
            embedding_size=shape.vocabulary,
            max_sequence_length=window,
            init_device=device,
        )
    )
    model.load_state_dict(_tensors(LAYOUTS["hf_olmo"].places(params)))
    return model


def _tensors(places: Mapping[str, tuple[np.ndarray, ...]]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("model."): torch.tensor(np.concatenate(views))
        for name, views in places.items()
    }


def loss(model: OLMo, tokens: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token, [], of tokens [B, T]."""
    scores = model(tokens).logits[:, :-1]
    return functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())


def training(model: OLMo, optimizer: Optimizer, batches: np.ndarray, dtype: str) -> Iterator[float]:
    """Trains the model; every `next` is a step and gives its loss.

    Args:
        model: that is trained.
        optimizer: AdamW at a constant rate, clipped.
        batches: tokens [L, B, T]; they are taken in turn, again and again.
        dtype: "float32", or "bfloat16" under autocast.
    """
    device = next(model.parameters()).device
    tokens = torch.tensor(batches, dtype=torch.long, device=device)
    update = torch.optim.AdamW(
        model.parameters(),
        lr=optimizer.peak,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
        fused=True,
    )
    step = 0
    while True:
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
            own = loss(model, tokens[step % len(tokens)])
        update.zero_grad()
        own.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optimizer.clip)
        update.step()
        step += 1
        yield own.item()  # waits for the device
