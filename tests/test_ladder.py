"""Sizes of the ladder, counted to the unit, and what AI2's ladder makes of them."""

import math

import jax
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from rare_retention import ladder
from rare_retention.errors import ConfigError
from rare_retention.models.architecture import Compute
from rare_retention.models.llama_shape import Llama, Olmo2
from rare_retention.models.olmo_shape import Olmo
from rare_retention.parallel import logical_names

PAPER = {  # the paper's table, App. B.2: parameters, layers, hidden, MLP dim, heads
    "4M": (6_963_200, 8, 64, 512, 8),
    "20M": (28_753_920, 16, 192, 1_536, 8),
    "300M": (371_458_048, 16, 1_024, 8_192, 16),
    "1B": (1_279_787_008, 16, 2_048, 16_384, 16),
    "4B": (4_707_057_664, 16, 4_096, 32_768, 32),
}

PUBLISHED = {  # parameters, as the weights are counted where they are published
    "SmolLM2-135M": 134_515_008,
    "SmolLM2-360M": 361_821_120,
    "Llama-3.2-1B": 1_235_814_400,
    "OLMo-2-1B": 1_484_916_736,
    "OLMo-2-7B": 7_298_617_344,
}
TIED = ("SmolLM2-135M", "SmolLM2-360M", "Llama-3.2-1B")


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_sizes_to_the_unit(name):
    found = ladder.size(name)
    shape = found.architecture
    assert (found.parameters, shape.layers, shape.hidden, shape.mlp, shape.heads) == PAPER[name]
    assert set(ladder.PAPER) == set(PAPER)


@pytest.mark.parametrize("name", [*ladder.names(), "2x64x512x4"])
def test_parameters_are_those_of_the_model(name):
    """Counted from the shapes of the weights, which are never drawn."""
    found = ladder.size(name, vocabulary=1000)
    with logical_names():
        model = nnx.eval_shape(lambda: found.architecture.build(Compute(), nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))
    assert found.parameters == sum(math.prod(leaf.shape) for leaf in leaves)
    idle = 0 if name in TIED else 1000 * found.architecture.hidden
    assert found.body == found.parameters - idle


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_to_the_unit(name):
    found = ladder.size(name)
    assert found.parameters == PUBLISHED[name]
    kind = "olmo2" if name.startswith("OLMo") else "llama"
    assert found.architecture.kind == kind
    # Another vocabulary changes the words alone.
    words = 1 if name in TIED else 2
    rows = found.architecture.vocabulary - 1000
    other = ladder.size(name, 1000)
    assert found.parameters - other.parameters == words * rows * other.architecture.hidden


def test_dimensions_take_any_architecture():
    plain = ladder.size("4M", 1000)
    assert ladder.size("4M", 1000, Olmo()) == plain
    found = ladder.size("4M", 1000, Olmo2(kv_heads=2))
    assert found.architecture == Olmo2(kv_heads=2).shape(
        layers=8, hidden=64, mlp=512, heads=8, vocabulary=1000
    )
    other = ladder.size("2x64x512x4", architecture=Llama(tied=True)).architecture
    assert (other.kind, other.tied, other.vocabulary) == ("llama", True, ladder.ROWS)
    with pytest.raises(ConfigError, match="kv_heads: expected a divisor of heads = 8, got 3"):
        ladder.size("4M", architecture=Olmo2(kv_heads=3))


def test_published_models_keep_their_architecture():
    assert ladder.size("OLMo-2-1B", architecture=Olmo2()) == ladder.size("OLMo-2-1B")
    with pytest.raises(ConfigError, match=r"OLMo-2-1B is published; .* got Olmo\(kind='olmo', "):
        ladder.size("OLMo-2-1B", architecture=Olmo())


def test_names_ascend_in_parameters():
    """Within each of the three kinds, and the names are about what they hold."""
    for kind in ("tiny", "mini", ""):
        of_kind = [n for n in ladder.names() if n.startswith(kind) and (kind or "-" not in n)]
        counts = [ladder.size(name).parameters for name in of_kind]
        assert len(of_kind) > 3 and counts == sorted(counts)


def test_flops_of_a_token():
    """Six for each multiplying parameter, and 6 T D a layer of causal attention."""
    found = ladder.size("2x64x512x4", vocabulary=100)
    products = 2 * (4 * 64 * 64 + 64 * 512 + 256 * 64) + 100 * 64
    assert found.flops_per_token(128) == 6 * products + 6 * 2 * 128 * 64


def test_rates_of_a_published_model():
    """DataDecide's 530M was trained at 2.77e-3 on batches of 448 sequences."""
    found = ladder.size("530M")
    assert round(found.learning_rate, 5) == 2.77e-3
    assert found.batch == 448
    assert found.warmup_tokens == found.body == 530_030_592


@given(st.integers(1, 6), st.integers(1, 16), st.integers(1, 4), st.integers(1, 400))
def test_rates_follow_the_size(layers, half, heads, mlp):
    """(learning rate)^2 x batch is one constant, up to the rounding of the batch to 32."""
    hidden = 2 * half * heads
    found = ladder.size(f"{layers}x{hidden}x{2 * mlp}x{heads}")
    sequences = 160 * 0.0047**2 / found.learning_rate**2
    assert found.batch % 32 == 0 and found.batch >= 32
    assert abs(found.batch - max(sequences, 32)) <= 16


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("4m", "size: no size '4m'; did you mean '4M'?"),
        ("tiny64", "did you mean 'tiny-64'?"),
        ("2x64x512", "expected layers x hidden x MLP dim x heads as in '2x64x512x4', or tiny-16,"),
        ("huge", "expected layers x hidden x MLP dim"),
        ("2x64x512x5", "heads: 5 do not cut hidden = 64"),
        ("0x64x512x4", "layers: expected at least 1, got 0"),
    ],
)
def test_unknown_sizes_are_one_line(name, message):
    with pytest.raises(ConfigError) as caught:
        ladder.size(name)
    assert message in str(caught.value) and "\n" not in str(caught.value)
