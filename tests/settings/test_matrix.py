"""Which weights of each family are matrices, and what goes in and out of them."""

import jax
import numpy as np
import pytest
import tiny
import tiny_text

from rare_retention.models.llama_shape import Llama, Olmo2
from rare_retention.models.olmo_shape import Olmo
from rare_retention.settings.competition import Competition
from rare_retention.settings.matrix import Matrix
from rare_retention.settings.parity import Parity
from rare_retention.train.updates import weight_name


def read(setting):
    """Weight of the smallest model -> sides of its matrices, and how many; None for AdamW's."""
    family, found = setting.family, {}
    weights = jax.eval_shape(family.init, np.uint32(0))[family.models[0].group]
    for path, leaf in jax.tree.leaves_with_path(weights):
        name, shape = weight_name(path), leaf.shape[1:]
        own = family.matrix(name, len(shape))
        sides = own and own.sides(shape)
        found[name] = own and (*sides, np.prod(shape) // np.prod(sides))
    return found


def text(architecture, size="2x16x24x4"):
    return tiny_text.language(sizes=(size,), architecture=architecture)


def test_synthetic_students():
    """Of the injection study, shrunk: four decoders of four outputs from two hidden units."""
    assert read(tiny.run().setting) == {"encoder": (16, 2, 1), "decoders": (2, 4 * 4, 1)}
    parity = Parity(tasks=3, bits=5, widths=(4,))
    others = dict.fromkeys(("bias", "control", "output", "output_bias"))
    assert read(parity) == {"bits": (5, 4, 1), **others}
    assert set(read(Competition()).values()) == {None}


LAYERS = {"layers.out": (16, 16, 2), "layers.gate_up": (16, 12, 4), "layers.down": (12, 16, 2)}
NORMS = dict.fromkeys(("layers.attention_norm", "layers.mlp_norm", "final_norm"))
WORDS = dict.fromkeys(("embedding", "unembedding"))


def test_olmo():
    """Two layers of hidden 16; queries, keys, values, the gate and what it gates stand apart."""
    expected = {"layers.qkv": (16, 16, 6), **LAYERS, **WORDS}
    assert read(text(Olmo())) == expected
    assert read(text(Olmo(norm="rms"))) == expected | NORMS


def test_llama_and_olmo_2():
    """Half as many heads of keys and values, of four dimensions each."""
    expected = {"layers.q": (16, 16, 2), "layers.kv": (16, 8, 4), **LAYERS, **NORMS, **WORDS}
    assert read(text(Llama(kv_heads=2))) == expected
    norms = dict.fromkeys(("layers.query_norm", "layers.key_norm"))
    assert read(text(Olmo2(kv_heads=2))) == expected | norms
    del expected["unembedding"]
    assert read(text(Llama(kv_heads=2, tied=True))) == expected


@pytest.mark.parametrize("architecture", [Olmo(), Olmo2(kv_heads=2), Llama(tied=True)])
def test_all_that_a_layer_multiplies_with_is_a_matrix(architecture):
    """As many weights as the shape counts for its FLOPs."""
    setting = text(architecture)
    (shape,) = setting.architectures.values()
    weights = sum(np.prod(own) for own in read(setting).values() if own)
    assert weights == shape.layers * shape.layer_parameters


def test_sides_are_counted_from_the_last_axis():
    assert Matrix().sides((9, 2, 3)) == (2, 3)
    assert Matrix(inputs=(-1,), outputs=(-3, -2)).sides((7, 2, 3, 5)) == (5, 6)
