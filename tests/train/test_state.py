"""The state before the first step, and how it is laid out."""

import jax
import numpy as np
import optax
import pytest
import tiny_text
from jax.sharding import PartitionSpec
from tiny import blueprint

from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh
from rare_retention.settings.competition import Competition
from rare_retention.settings.traced import traced_of
from rare_retention.train import state
from rare_retention.train.plan import blueprint as blueprint_of

SETTING = Competition(neurons=(1, 2), initialisations=2, watch=(0, -1))
GROUPS = ("neurons_00001", "neurons_00002")
TRACED = traced_of(SETTING)
BLUEPRINT = blueprint(TRACED, Optimizer(), effect=True)


def moments(optimizer):
    """Leaves of an optimizer's state with their paths."""
    found = jax.tree.leaves_with_path(optimizer, is_leaf=lambda x: hasattr(x, "spec"))
    return {jax.tree_util.keystr(path): leaf for path, leaf in found}


@pytest.fixture(scope="module")
def created():
    return state.create(BLUEPRINT, 0)


def test_a_run_begins_at_step_0_with_the_weights_of_its_setting(created):
    assert created.step.dtype == np.int32 and created.step == 0
    jax.tree.map(np.testing.assert_array_equal, created.params, TRACED.family.init(0))
    assert tuple(created.params) == GROUPS


def test_each_student_has_an_optimizer_of_its_own(created):
    for neurons, group in enumerate(GROUPS, 1):
        shapes = sorted(leaf.shape for leaf in jax.tree.leaves(created.optimizer[group]))
        # counts of Adam and of its rate, two moments
        assert shapes == [(2,), (2,), (2, neurons), (2, neurons)]
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(created.optimizer[group]))


def test_no_change_is_a_zero_for_each_student_and_watched_task(created):
    for group in GROUPS:
        np.testing.assert_array_equal(created.followed["effect"][group], np.zeros((2, 2)))


def test_the_shapes_of_a_state_are_known_without_it(created):
    found = state.abstract(BLUEPRINT)
    assert jax.tree.structure(found) == jax.tree.structure(created)
    for shape, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(created), strict=True):
        assert isinstance(shape, jax.ShapeDtypeStruct)
        assert (shape.shape, shape.dtype) == (leaf.shape, leaf.dtype)


def test_moments_are_laid_out_as_their_weights_and_counts_by_student():
    mesh = make_mesh(MeshShape(student=2, data=4))
    found = state.shardings(BLUEPRINT, mesh)
    assert found.step.spec == PartitionSpec()
    for group in GROUPS:
        (weights,) = jax.tree.leaves(found.params[group])
        assert weights.spec[0] == "student" and weights.mesh == mesh
        assert found.followed["effect"][group].spec == PartitionSpec("student")
        for path, place in moments(found.optimizer[group]).items():
            expected = weights.spec if ".mu" in path or ".nu" in path else PartitionSpec("student")
            assert place.spec == expected, path


def test_muons_moments_are_laid_out_as_their_weights_too():
    """Matrices have one moment, all else two, wherever they stand in the optimizer's state."""
    mesh = make_mesh(MeshShape(data=2, fsdp=2, model=2))
    found = state.shardings(blueprint_of(tiny_text.run(optimizer__method="muon")), mesh)
    for group, weights in found.params.items():
        expected = {
            jax.tree_util.keystr(path): own.spec for path, own in jax.tree.leaves_with_path(weights)
        }
        assert any(set(spec) >= {"fsdp", "model"} for spec in expected.values())
        named = {}
        for path, place in moments(found.optimizer[group]).items():
            moment, _, weight = path.partition(".mu") if ".mu" in path else path.partition(".nu")
            assert place.spec == expected.get(weight, PartitionSpec("student")), path
            named.setdefault(weight, []).append("muon" in moment)
        assert named["['layers']['qkv']"] == named["['layers']['down']"] == [True]
        assert named["['embedding']"] == named["['unembedding']"] == [False, False]


def test_a_weight_whose_name_ends_anothers_has_a_layout_of_its_own():
    places = {"bias": "first", "layers": {"bias": "second"}}
    zeros = jax.tree.map(lambda _: np.zeros(2, np.float32), places)
    found = state._as_weights(optax.scale_by_adam().init(zeros), places, "other")
    assert found.mu == found.nu == places and found.count == "other"
