"""What the layouts of all architectures are made of."""

import numpy as np
import pytest

from rare_retention.models.layouts import (
    described,
    dimensions,
    plain_attention,
    projections,
    rotary_base,
)
from rare_retention.models.olmo_shape import OlmoShape


def test_older_files_have_the_rotary_base_as_a_field():
    assert rotary_base({"rope_theta": 250.0}) == 250
    assert rotary_base({"rope_parameters": None}) == 10_000
    assert rotary_base({"rope_parameters": {"rope_theta": 90.0}, "rope_theta": 250.0}) == 90


def test_what_is_described_is_read_back():
    shape = OlmoShape(layers=2, hidden=6, mlp=8, heads=3, vocabulary=7, rope_theta=500.0)
    data = described(shape, window=64)
    assert OlmoShape(**dimensions(data)) == shape
    assert (data["max_position_embeddings"], data["intermediate_size"]) == (64, 4)
    for name, allowed in plain_attention(data).items():
        assert data.get(name) in allowed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attention_bias", True),
        ("hidden_act", "gelu"),
        ("rope_scaling", {"type": "linear", "factor": 2.0}),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 10_000.0}),
    ],
)
def test_what_is_not_plain_is_not_allowed(name, value):
    assert value not in plain_attention({name: value})[name]


def test_projections_are_named_by_layer():
    own = {name: np.zeros(1) for name in ("q", "k", "v", "out", "gate", "up", "down")}
    places = projections(own, 3)
    assert places["model.layers.3.self_attn.o_proj.weight"] == (own["out"],)
    assert places["model.layers.3.mlp.down_proj.weight"][0] is own["down"]
    assert len(places) == 7
