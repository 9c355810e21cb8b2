"""The state before the first step, and how it is laid out."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from rare_retention.parallel import MeshShape, make_mesh
from rare_retention.settings.competition import Competition
from rare_retention.train import state

SETTING = Competition(neurons=(1, 2), initialisations=2, watch=(0, -1))
GROUPS = ("neurons_00001", "neurons_00002")
ADAM = optax.adam(0.1)


def moments(optimizer):
    """Leaves of an optimizer's state with their paths."""
    found = jax.tree.leaves_with_path(optimizer, is_leaf=lambda x: hasattr(x, "spec"))
    return {jax.tree_util.keystr(path): leaf for path, leaf in found}


@pytest.fixture(scope="module")
def created():
    return state.create(SETTING, ADAM)


def test_a_run_begins_at_step_0_with_the_weights_of_its_setting(created):
    assert created.step.dtype == np.int32 and created.step == 0
    jax.tree.map(np.testing.assert_array_equal, created.params, SETTING.init())
    assert tuple(created.params) == GROUPS


def test_each_student_has_an_optimizer_of_its_own(created):
    for neurons, group in enumerate(GROUPS, 1):
        shapes = sorted(leaf.shape for leaf in jax.tree.leaves(created.optimizer[group]))
        assert shapes == [(2,), (2, neurons), (2, neurons)]  # Adam's count and two moments
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(created.optimizer[group]))


def test_no_change_is_a_zero_for_each_student_and_watched_task(created):
    for group in GROUPS:
        np.testing.assert_array_equal(created.change[group], np.zeros((2, 2)))


def test_groups_may_have_optimizers_of_their_own():
    own = {GROUPS[0]: optax.sgd(0.1), GROUPS[1]: ADAM}
    assert state.transform_of(own, GROUPS[1]) is state.transform_of(ADAM, GROUPS[0]) is ADAM
    found = state.create(SETTING, own).optimizer
    assert not jax.tree.leaves(found[GROUPS[0]]) and jax.tree.leaves(found[GROUPS[1]])


def test_moments_are_laid_out_as_their_weights_and_counts_by_student():
    mesh = make_mesh(MeshShape(student=2, data=4))
    found = state.shardings(SETTING, ADAM, mesh)
    assert found.step.spec == PartitionSpec()
    for group in GROUPS:
        (weights,) = jax.tree.leaves(found.params[group])
        assert weights.spec[0] == "student" and weights.mesh == mesh
        assert found.change[group].spec == PartitionSpec("student")
        for path, place in moments(found.optimizer[group]).items():
            expected = weights.spec if ".mu" in path or ".nu" in path else PartitionSpec("student")
            assert place.spec == expected, path
