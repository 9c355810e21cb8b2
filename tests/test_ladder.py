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
from rare_retention.models.olmo import Olmo
from rare_retention.parallel import logical_names

PAPER = {  # the paper's table, App. B.2: parameters, layers, hidden, MLP dim, heads
    "4M": (6_963_200, 8, 64, 512, 8),
    "20M": (28_753_920, 16, 192, 1_536, 8),
    "300M": (371_458_048, 16, 1_024, 8_192, 16),
    "1B": (1_279_787_008, 16, 2_048, 16_384, 16),
    "4B": (4_707_057_664, 16, 4_096, 32_768, 32),
}


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
        model = nnx.eval_shape(lambda: Olmo(found.architecture, Compute(), rngs=nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))
    assert found.parameters == sum(math.prod(leaf.shape) for leaf in leaves)
    assert found.body == found.parameters - 1000 * found.architecture.hidden


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
