"""A family of the smallest kind: what follows for its students from what it says of one."""

from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx

from rare_retention.settings.family import Family
from rare_retention.settings.matrix import Matrix
from rare_retention.settings.student import Student, group


class Point(nnx.Module):
    def __init__(self, size, key):
        self.place = nnx.Param(jax.random.normal(key, (size,)), out_sharding=(None,))


@dataclass(frozen=True, kw_only=True)
class Points(Family):
    initialisations: int

    @property
    def models(self):
        return tuple(Student(group("points", n), n, n, n) for n in (2, 10))

    def draw(self, model, initialisation):
        return Point(model.size, jax.random.fold_in(jax.random.key(model.size), initialisation))

    def flops(self, rows):
        return {2: 0.0, 10: 0.0}

    @property
    def block_labels(self):
        return ("place", "all")


FAMILY = Points(initialisations=3)


def test_students_are_every_model_in_every_draw():
    assert [(s.size, s.initialisation) for s in FAMILY.students] == [
        (size, i) for size in (2, 10) for i in range(3)
    ]


def test_weights_functions_and_partitions_are_stacked():
    params = FAMILY.init(0)
    assert {name: own["place"].shape for name, own in params.items()} == {
        "points_00002": (3, 2),
        "points_00010": (3, 10),
    }
    for one_by_one in (False, True):
        sums = FAMILY.map(lambda m: m.place[...].sum(), params, one_by_one=one_by_one)
        for name, values in sums.items():
            np.testing.assert_allclose(values, params[name]["place"].sum(1), rtol=1e-6)
    assert jax.tree.structure(FAMILY.partition()) == jax.tree.structure(params)


def test_by_default_each_array_is_a_block_and_nothing_is_selected():
    gradient = {"place": np.ones((3, 2))}
    assert FAMILY.blocks(gradient) == gradient
    assert FAMILY.selections(gradient, gradient) == {}
    assert FAMILY.finest_precision == "float32"


def test_equal_families_are_one_key():
    assert hash(FAMILY) == hash(Points(initialisations=3)) and Points(initialisations=2) != FAMILY


def test_weights_of_two_axes_are_matrices_unless_a_family_says_otherwise():
    assert FAMILY.matrix("place", 1) is None and FAMILY.matrix("place", 3) is None
    assert FAMILY.matrix("place", 2) == Matrix(inputs=(-2,), outputs=(-1,))
