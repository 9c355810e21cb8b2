"""What a run takes over from the state that it goes on from."""

import itertools
import typing
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from etils import epath

from rare_retention.config import config, override
from rare_retention.errors import UserError
from rare_retention.experiment import turned
from rare_retention.optimizer import Optimizer
from rare_retention.rules.reweighting import Reweighting
from rare_retention.rules.rule import Rule
from rare_retention.schedule.schedule import Exposures, History
from rare_retention.settings.traced import traced_of
from rare_retention.train import origin, state

RUN = tiny.run()  # bursts in batches 7, 15, 23, 31, 39 and 47
QUIET = turned(RUN, 20, override(RUN, {"exposure.left_out": (-1,), "steps": 40}))


def made(optimizer, rule=None):
    """What a run with this optimizer is compiled for."""
    return tiny.blueprint(traced_of(RUN.setting), optimizer, effect=True)._replace(rule=rule)


def trained(blueprint):
    """A state of step 20 whose leaves differ: moments, counts and what the rule carries."""
    new = state.create(blueprint, 0)
    numbers = itertools.count(21)
    moments = jax.tree.map(lambda leaf: jnp.full_like(leaf, next(numbers)), new.optimizer)
    rule = jax.tree.map(lambda leaf: leaf + 5, new.rule)
    return new._replace(step=jnp.int32(20), optimizer=moments, rule=rule)


def continued(parent, branch, before=None):
    """The parent's state, and the branch's first."""
    old = trained(parent)
    created = state.create(branch, 0)
    return old, origin.goes_on(old, created, before or BEFORE, parent, branch)


def parts(optimizer):
    """Nodes of an optimizer's state by kind: with moments, and leaves that count for schedules."""
    moments = (optax.ScaleByAdamState, optax.contrib.MuonState, optax.TraceState)

    def is_leaf(node):
        return isinstance(node, moments)

    found, counts = {}, []
    for path, node in jax.tree.leaves_with_path(optimizer, is_leaf=is_leaf):
        if is_leaf(node):
            found[type(node).__name__] = node
        else:
            counts.append((jax.tree_util.keystr(path), np.asarray(node)))
    return found, counts


@config
class Memory(Rule):
    """Carries a number of each student."""

    kind: Literal["memory"] = "memory"
    factor: float = 1.0

    def start(self, traced, params):
        return {name: jnp.zeros(2) for name in params}


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


CLIPPINGS = ({"clip": None}, {"clip": 0.5}, {"clip": 1.0, "clip_warmup": 30})
KINDS = {
    "adamw": {"ScaleByAdamState"},
    "sgd": set(),
    "muon": {"MuonState", "ScaleByAdamState"},
}


@pytest.mark.parametrize("method", typing.get_args(typing.get_type_hints(Optimizer)["method"]))
@pytest.mark.parametrize("after", CLIPPINGS, ids=str)
@pytest.mark.parametrize("before", CLIPPINGS, ids=str)
def test_moments_of_the_same_method_go_on_wherever_they_stand(method, before, after):
    """Clipping in front of them changes the chain; schedules are read at the state's step."""
    parent, branch = (made(Optimizer(method=method, **own)) for own in (before, after))
    old, new = continued(parent, branch)
    jax.tree.map(np.testing.assert_array_equal, new.params, old.params)
    assert new.step == 20
    for group in new.params:
        expected, _ = parts(old.optimizer[group])
        found, counts = parts(new.optimizer[group])
        assert found.keys() == expected.keys() == KINDS[method]
        jax.tree.map(np.testing.assert_array_equal, found, expected)
        for name, own in counts:
            if "hyperparams['" not in name:  # the limit itself, which every update looks up
                assert name.endswith(".count") and np.all(own == 20), name


def test_decays_and_rates_that_differ_are_no_other_method():
    parent, branch = made(Optimizer()), made(Optimizer(beta2=0.9, peak=0.5, schedule="constant"))
    old, new = continued(parent, branch)
    for group in new.params:
        (found, _), (expected, _) = (parts(own.optimizer[group]) for own in (new, old))
        jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("method", ["sgd", "muon"])
def test_another_method_begins_with_no_moments_but_at_the_step(method):
    """Muon has moments of Adam's kind too, but not of the same weights."""
    _, new = continued(made(Optimizer(method=method)), made(Optimizer()))
    for group in new.params:
        found, counts = parts(new.optimizer[group])
        assert not any(map(np.any, jax.tree.leaves(found)))
        assert [np.unique(own).tolist() for _, own in counts] == [[20]]


def test_a_new_rule_knows_the_last_exposures():
    parent, branch = made(Optimizer()), made(Optimizer(), Reweighting())
    _, new = continued(parent, branch)
    assert new.rule["since"].tolist() == [4]  # batch 15 was the last before step 20
    never = BEFORE._replace(exposures=(Exposures(np.array([23]), np.array([8])),))
    _, new = continued(parent, branch, never)
    assert new.rule["since"].tolist() == [-1]


def test_a_rule_goes_on_and_one_that_differs_in_a_field_begins_anew():
    parent = made(Optimizer(), Memory())
    for rule, carried in ((Memory(), 5.0), (Memory(factor=2.0), 0.0)):
        _, new = continued(parent, made(Optimizer(clip=None), rule))
        for own in new.rule["carried"].values():
            assert own.tolist() == [carried] * 2
        assert new.rule["since"].tolist() == [4]
    assert continued(parent, made(Optimizer()))[1].rule == {}


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
