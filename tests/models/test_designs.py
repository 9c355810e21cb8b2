"""Every architecture can be chosen by its kind, built, and found by its published name."""

import dataclasses
import math

import jax
import pytest
from flax import nnx

from rare_retention.config import config, from_dict, to_dict
from rare_retention.errors import ConfigError
from rare_retention.models.architecture import DESIGNS, Compute
from rare_retention.models.designs import AnyDesign, layouts, shapes
from rare_retention.models.llama_shape import Llama
from rare_retention.parallel import logical_names

SIZES = {"layers": 2, "hidden": 16, "mlp": 24, "heads": 4, "vocabulary": 30}


@config
class Chooses:
    design: AnyDesign


@pytest.mark.parametrize("design", DESIGNS.classes)
def test_a_design_makes_a_shape_that_is_built_and_published(design):
    shape = design().shape(**SIZES)
    assert design().kind == shape.kind
    assert type(shape) in set(shapes())
    assert layouts()[shape.kind] is shape.published()[shape.kind]
    assert {name: getattr(shape, name) for name in SIZES} == SIZES
    with logical_names():
        model = nnx.eval_shape(lambda: shape.build(Compute(), nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))
    assert shape.parameters == sum(math.prod(leaf.shape) for leaf in leaves)
    assert type(shape)(**to_dict(shape)) == shape


def test_a_config_chooses_by_kind():
    chosen = Chooses(design=Llama(kv_heads=2, tied=True))
    assert from_dict(Chooses, to_dict(chosen)) == chosen
    shape = chosen.design.shape(**SIZES)
    assert (shape.kv_heads, shape.tied, shape.rope_theta) == (2, True, 500_000)
    with pytest.raises(ConfigError, match=r"expected .*'llama'.*, got 'gpt'"):
        from_dict(Chooses, {"design": {"kind": "gpt"}})


def test_every_layout_makes_one_of_the_shapes():
    assert set(layouts()) >= {"olmo", "hf_olmo", "olmo2", "llama"}
    assert {layout.shape for layout in layouts().values()} <= set(shapes())
    assert all(dataclasses.is_dataclass(shape) for shape in shapes())
