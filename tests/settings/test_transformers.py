"""The language models as a family: names, blocks and task neurons of stacked weights."""

import jax
import numpy as np
import pytest
import tiny_text

from rare_retention.models.llama_shape import Llama, Olmo2
from rare_retention.models.olmo_shape import Olmo
from rare_retention.settings.transformers import NEURONS

SETTING = tiny_text.language(sizes=("2x16x32x2", "1x8x16x2"), neurons=5)
FAMILY = SETTING.family


def test_sizes_stand_from_small_to_large():
    assert [m.size for m in FAMILY.models] == ["1x8x16x2", "2x16x32x2"]
    assert list(FAMILY.architectures) == [m.group for m in FAMILY.models] == sorted(FAMILY.init(0))
    shapes = FAMILY.architectures.values()
    assert [m.parameters for m in FAMILY.models] == [shape.parameters for shape in shapes]


@pytest.mark.parametrize(
    ("architecture", "kinds"),
    [(None, 4), (Olmo(norm="rms"), 6), (Olmo2(), 9), (Llama(kv_heads=1, tied=True), 7)],
    ids=["olmo", "rms", "olmo2", "llama"],
)
def test_each_weight_is_in_one_block_whose_name_is_known_beforehand(architecture, kinds):
    """Those of the layers that a smaller model lacks are in no block of it."""
    family = tiny_text.language(sizes=SETTING.sizes, architecture=architecture).family
    for group, stack in jax.eval_shape(family.init, 0).items():
        stack = jax.tree.map(lambda leaf: np.zeros(leaf.shape), stack)
        blocks = family.blocks(stack)
        assert set(blocks) <= set(family.block_labels)
        assert len(set(family.block_labels)) == len(family.block_labels)
        layers = family.architectures[group].layers
        assert sum("layer" in name for name in blocks) == kinds * layers
        weights = sum(leaf.size for leaf in jax.tree.leaves(blocks))
        assert weights == sum(leaf.size for leaf in jax.tree.leaves(stack))
    assert family.block_labels[-2:] == (NEURONS, "all")


def test_selected_neurons_are_those_of_the_largest_reference_gradient():
    """Planted: five of the first layer's, in another order for each gradient that is selected."""
    [_, (_, stack)] = FAMILY.init(0).items()
    zero = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), stack)
    rng = np.random.default_rng(0)
    planted = rng.choice(16, 5, replace=False)
    zero["layers"]["down"][:, 0, planted] = rng.uniform(1, 2, 5)[:, None]
    zero["layers"]["gate_up"][:, 1] = 9  # of the second layer: no matter
    found = FAMILY.selections(stack, zero)[NEURONS]
    own = np.asarray(stack["layers"]["down"])[0, 0]
    assert found["down"].shape == (1, 5, 16) and found["gate_up"].shape == (1, 16, 2, 5)
    chosen = {tuple(row) for row in np.asarray(found["down"])[0]}
    assert chosen == {tuple(own[n]) for n in planted}
