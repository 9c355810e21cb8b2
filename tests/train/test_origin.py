"""What a run takes over from the state that it goes on from."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from etils import epath

from rare_retention.config import override
from rare_retention.errors import UserError
from rare_retention.experiment import turned
from rare_retention.optimizer import Optimizer
from rare_retention.rules.reweighting import Reweighting
from rare_retention.schedule.schedule import Exposures, History
from rare_retention.settings.traced import traced_of
from rare_retention.train import origin, state

RUN = tiny.run()  # bursts in batches 7, 15, 23, 31, 39 and 47
QUIET = turned(RUN, 20, override(RUN, {"exposure.left_out": (-1,), "steps": 40}))


def counts(optimizer):
    """Numbers of updates that an optimizer's state knows of, one for each student."""
    nodes = (optax.ScaleByScheduleState, optax.ScaleByAdamState)
    leaves = jax.tree.leaves(optimizer, is_leaf=lambda node: isinstance(node, nodes))
    return {type(node).__name__: set(node.count.tolist()) for node in leaves if hasattr(node, "mu")
            or isinstance(node, optax.ScaleByScheduleState)}  # fmt: skip


def trained(optimizer, rule=None):
    """A state of step 20 with moments that are not zero."""
    blueprint = tiny.blueprint(traced_of(RUN.setting), optimizer, effect=True)._replace(rule=rule)
    new = state.create(blueprint, 0)
    moments = jax.tree.map(lambda leaf: leaf + jnp.ones_like(leaf) * 20, new.optimizer)
    return new._replace(step=jnp.int32(20), optimizer=moments)


BEFORE = History((Exposures(np.array([7, 15, 23]), np.array([8, 8, 8])),), np.zeros(4, np.int64))


def test_what_was_shown_is_the_parents_up_to_the_turn_and_the_branchs_from_there():
    before = RUN.schedule().history(20, (-1,))
    found = origin.history(QUIET, 40, before)
    assert found.exposures[0].steps.tolist() == [7, 15]
    rows = RUN.schedule().shown(20)
    own = QUIET.schedule().shown(40) - QUIET.schedule().shown(20)
    np.testing.assert_array_equal(found.shown, rows + own)
    assert found.shown[-1] == rows[-1] > 0


def test_a_run_without_a_parent_has_its_own_history():
    found, expected = origin.history(RUN, 30, None), RUN.schedule().history(30, (-1,))
    np.testing.assert_array_equal(found.shown, expected.shown)
    np.testing.assert_array_equal(found.exposures[0].steps, expected.exposures[0].steps)


def test_moments_of_the_same_optimizer_go_on():
    old = trained(Optimizer())
    new = origin.goes_on(old, trained(Optimizer(peak=0.5)), BEFORE)
    jax.tree.map(np.testing.assert_array_equal, new.optimizer, old.optimizer)
    jax.tree.map(np.testing.assert_array_equal, new.params, old.params)
    assert new.step == 20


def test_another_optimizer_begins_with_no_moments_but_at_the_step():
    blueprint = tiny.blueprint(traced_of(RUN.setting), Optimizer(), effect=True)
    fresh = state.create(blueprint, 0)
    new = origin.goes_on(trained(Optimizer(method="sgd")), fresh, BEFORE)
    for group in new.params:
        found = counts(new.optimizer[group])
        assert found == {"ScaleByScheduleState": {20}, "ScaleByAdamState": {0}}


def test_a_new_rule_knows_the_last_exposures():
    blueprint = tiny.blueprint(traced_of(RUN.setting), Optimizer())._replace(rule=Reweighting())
    new = origin.goes_on(trained(Optimizer()), state.create(blueprint, 0), BEFORE)
    assert new.rule["since"].tolist() == [4]  # batch 15 was the last before step 20
    never = BEFORE._replace(exposures=(Exposures(np.array([23]), np.array([8])),))
    new = origin.goes_on(trained(Optimizer()), state.create(blueprint, 0), never)
    assert new.rule["since"].tolist() == [-1]


def test_alike_are_trees_of_equal_structure_shapes_and_types():
    one = {"a": np.zeros((2, 3), np.float32)}
    assert origin.alike(one, {"a": np.ones((2, 3), np.float32)})
    assert not origin.alike(one, {"b": one["a"]})
    assert not origin.alike(one, {"a": np.zeros((3, 2), np.float32)})
    assert not origin.alike(one, {"a": np.zeros((2, 3), np.float64)})
    assert not origin.alike(one, None)


def test_a_state_that_was_not_kept_is_named(tmp_path):
    parent = origin.Parent(epath.Path(tmp_path), RUN)
    with pytest.raises(UserError, match="has no whole state of step 20; train it first"):
        parent.shown(20)
