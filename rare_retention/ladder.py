"""The ladder of model sizes: dimensions, parameters, and hyper-parameters that follow from them."""

import difflib
import re
from typing import NamedTuple

from rare_retention.config import ConfigError, override
from rare_retention.models.architecture import Architecture, Design
from rare_retention.models.llama_shape import Llama, Olmo2
from rare_retention.models.olmo_shape import Olmo

ROWS = 50_304
"""Rows of OLMo's embeddings: 50,280 tokens and some padding."""

_DIMENSIONS = {  # layers, hidden, heads; MLP dim is 8 x hidden
    "tiny-16": (2, 16, 1),
    "tiny-32": (2, 32, 2),
    "tiny-64": (2, 64, 4),
    "tiny-128": (2, 128, 8),
    "mini-64": (4, 64, 2),
    "mini-128": (4, 128, 4),
    "mini-256": (4, 256, 8),
    "mini-512": (4, 512, 16),
    "4M": (8, 64, 8),
    "6M": (8, 96, 8),
    "8M": (8, 128, 8),
    "10M": (8, 144, 8),
    "14M": (8, 192, 8),
    "16M": (8, 208, 8),
    "20M": (16, 192, 8),
    "60M": (16, 384, 12),
    "90M": (16, 528, 12),
    "150M": (12, 768, 12),
    "300M": (16, 1024, 16),
    "530M": (16, 1344, 16),
    "750M": (16, 1536, 16),
    "1B": (16, 2048, 16),
    "4B": (16, 4096, 32),
}

_SMOL, _LLAMA_1B = Llama(kv_heads=3, tied=True, rope_theta=1e5), Llama(kv_heads=8, tied=True)

# layers, hidden, MLP dim, heads, rows of an embedding, architecture
_PUBLISHED: dict[str, tuple[int, int, int, int, int, Design]] = {
    "SmolLM2-135M": (30, 576, 2 * 1536, 9, 49_152, _SMOL),
    "SmolLM2-360M": (32, 960, 2 * 2560, 15, 49_152, override(_SMOL, {"kv_heads": 5})),
    "Llama-3.2-1B": (16, 2048, 2 * 8192, 32, 128_256, _LLAMA_1B),
    "OLMo-2-1B": (16, 2048, 2 * 8192, 16, 100_352, Olmo2()),
    "OLMo-2-7B": (32, 4096, 2 * 11_008, 32, 100_352, Olmo2()),
}

PAPER = ("4M", "20M", "300M", "1B", "4B")
"""Sizes of the paper (its App. B.2)."""

_ANCHOR = 108e6  # parameters of the model from which the two power laws start
_BATCHES = 32  # AI2's ladder trains on whole multiples of it


class Size(NamedTuple):
    """A rung of the ladder.

    The rates follow AI2's ladder, which takes the exponents from Porian et al. (2024, "Resolving
    Discrepancies in Compute-Optimal Scaling of Language Models"): batch = 160 (N / 108e6)^(2/3)
    sequences of 2048 tokens, learning rate = 0.0047 (N / 108e6)^(-1/3), a warm-up of N tokens. N is
    `body`, where AI2 puts the rounded number in the name. They are suggestions: the paper trains
    all sizes at 3e-4 with 1024 sequences, and so do the configurations unless they say otherwise.

    Attributes:
        name: as `size` takes it.
        architecture: of the model.
    """

    name: str
    architecture: Architecture

    @property
    def parameters(self) -> int:
        """Number of all parameters, embeddings included; tied ones count once."""
        return self.architecture.parameters

    @property
    def body(self) -> int:
        """Parameters that multiply: all but the input embedding, where it is no output too."""
        shape = self.architecture
        idle = shape.vocabulary * shape.hidden if "unembedding" in shape.other_weights else 0
        return self.parameters - idle

    def flops_per_token(self, window: int) -> float:
        """Floating-point operations of training on one token of a sequence of `window` tokens."""
        return self.architecture.flops_per_token(window)

    @property
    def learning_rate(self) -> float:
        """Peak learning rate that AI2's ladder gives to this size."""
        return 0.0047 * (self.body / _ANCHOR) ** (-1 / 3)

    @property
    def batch(self) -> int:
        """Sequences of 2048 tokens in a batch, a positive multiple of 32."""
        sequences = 160 * (self.body / _ANCHOR) ** (2 / 3)
        return max(1, round(sequences / _BATCHES)) * _BATCHES

    @property
    def warmup_tokens(self) -> int:
        """Number of tokens over which the learning rate rises from zero to its peak: `body`."""
        return self.body


def names() -> tuple[str, ...]:
    """Names of all sizes: for one CPU, for one GPU, by parameters, then published models."""
    return (*_DIMENSIONS, *_PUBLISHED)


def size(name: str, vocabulary: int | None = None, architecture: Design | None = None) -> Size:
    """The size of that name.

    The names without a prefix are those of the paper (`PAPER`) and, between them, of AI2's
    DataDecide suite. All have the paper's architecture unless another is asked for; DataDecide's
    own models have RMSNorm. Published models have an architecture of their own. Of Llama-3.2-1B the
    scaling of rotary positions, which lengthens its window after training, is left out.

    Args:
        name: one of `names()`, or "LxDxMxH", layers x hidden x MLP dim x heads, as in "2x64x512x4".
        vocabulary: rows of each embedding; None: as many as the published model, or `ROWS`.
        architecture: what the dimensions are given to; None: the published model's own, or `Olmo`.

    Raises:
        ConfigError: there is no such size, its dimensions do not fit together, or it is a published
            model of another architecture.
    """
    rows, own = ROWS, None
    if name in _DIMENSIONS:
        layers, hidden, heads = _DIMENSIONS[name]
        mlp = 8 * hidden
    elif name in _PUBLISHED:
        layers, hidden, mlp, heads, rows, own = _PUBLISHED[name]
    elif re.fullmatch(r"\d+(x\d+){3}", name):
        layers, hidden, mlp, heads = map(int, name.split("x"))
    else:
        raise ConfigError("size", f"no size {name!r}; {_hint(name)}")
    if own is not None and architecture not in (None, own):
        raise ConfigError(
            "architecture",
            f"{name} is published; expected none or its own, {own}, got {architecture}",
        )
    shape = (own or architecture or Olmo()).shape(
        layers=layers,
        hidden=hidden,
        mlp=mlp,
        heads=heads,
        vocabulary=rows if vocabulary is None else vocabulary,
    )
    return Size(name, shape)


def _hint(name: str) -> str:
    lower = {known.lower(): known for known in names()}
    if near := difflib.get_close_matches(name.lower(), lower, 1):
        return f"did you mean {lower[near[0]]!r}?"
    return f"expected layers x hidden x MLP dim x heads as in '2x64x512x4', or {', '.join(names())}"
