"""When a rule in gaps acts, on which blocks, and what it refuses."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_text

from rare_retention.config import ConfigError, config
from rare_retention.rules.gaps import InGaps
from rare_retention.rules.rule import Phase, Seen
from rare_retention.settings.traced import traced_of
from rare_retention.train.plan import blueprint, make_plan, own_numbers

SETTING = tiny_text.language(sizes=("2x16x32x2",), watch=(1, 2))
TRACED = traced_of(SETTING)
PARAMS = jax.jit(TRACED.family.init)(0)


@config
class Doubling(InGaps):
    """Updates in gaps are twice as large; a rule that can be checked by eye."""

    kind: Literal["doubling"] = "doubling"

    def inside(self, updates, step):
        return {
            group: self.by_block(step.traced, lambda own: jax.tree.map(lambda x: 2 * x, own), stack)
            for group, stack in updates.items()
        }


def factors(rule, since, other=0):
    """What a rule multiplies an update of ones by, in each block."""
    (group,) = PARAMS
    phase = Phase(jnp.array([since == 0, other == 0]), jnp.array([since, other]))
    step = Seen(TRACED, SETTING.numbers(0), PARAMS, phase, {}, lambda f: None, rule.numbers)
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    after = jax.jit(lambda own: rule.update(own, step))(ones)
    blocks = TRACED.family.blocks(after[group])
    found = {name: np.unique(np.asarray(jax.tree.leaves(part)[0])) for name, part in blocks.items()}
    assert all(len(values) == 1 for values in found.values())
    return {name: float(values[0]) for name, values in found.items()}


@pytest.mark.parametrize(
    ("since", "factor"),
    [(-1, 1), (0, 1), (1, 1), (4, 1), (5, 2), (60, 2)],
    ids=["before the first", "exposure", "just after", "momentum", "gap", "late"],
)
def test_it_acts_from_so_many_steps_after_an_exposure(since, factor):
    assert set(factors(Doubling(after=5), since).values()) == {factor}


def test_an_exposure_is_no_gap_where_the_first_step_after_it_is_one():
    assert set(factors(Doubling(after=0), 0).values()) == {1.0}
    assert set(factors(Doubling(after=0), 1).values()) == {2.0}


def test_gaps_are_those_of_the_task_that_it_names():
    assert set(factors(Doubling(gaps=1, after=5), 60, other=0).values()) == {1.0}
    assert set(factors(Doubling(gaps=1, after=5), 0, other=60).values()) == {2.0}


def test_only_chosen_blocks_are_changed():
    chosen = ("layer 1 down", "embedding")
    found = factors(Doubling(blocks=chosen), 60)
    assert {name for name, factor in found.items() if factor == 2} == set(chosen)
    assert {factor for name, factor in found.items() if name not in chosen} == {1.0}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"kind": "protection", "gaps": 1}, r"rule.gaps: expected a place in setting.watch, .*1"),
        ({"kind": "protection", "along": 1}, "rule.along: expected a place in setting.watch"),
        ({"kind": "freezing", "blocks": "('decoder',)"}, r"rule.blocks\[0\]: no block 'decoder'; "),
    ],
)
def test_what_the_setting_has_not_is_refused(rule, message):
    run = tiny.run(**{f"rule__{name}": value for name, value in rule.items()})
    with pytest.raises(ConfigError, match=message):
        make_plan(run, run.schedule())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("neurons", "'neurons' is compared on, but its weights stand in other blocks; expected"),
        ("all", "expected some of embedding, layer 0 .*; leave `blocks` out for all weights"),
        ("layer 2 down", "no block 'layer 2 down'; expected some of embedding, layer 0"),
    ],
)
def test_what_is_no_block_of_its_own_is_refused(name, message):
    """It would be ignored: selections of weights are parts of blocks."""
    assert "neurons" in SETTING.family.block_labels
    with pytest.raises(ConfigError, match=rf"rule.blocks\[1\]: .*{message}"):
        Doubling(blocks=("embedding", name)).check(SETTING)


def test_every_block_of_a_family_may_be_chosen_and_each_is_changed():
    labels = tuple(TRACED.family.blocks(PARAMS[next(iter(PARAMS))]))
    Doubling(blocks=labels).check(SETTING)
    assert set(factors(Doubling(blocks=labels), 60).values()) == {2.0}


def test_a_size_that_lacks_a_block_goes_on_without_the_change():
    setting = tiny_text.language(sizes=("1x16x32x2", "2x16x32x2"), watch=(1, 2))
    rule = Doubling(blocks=("layer 1 down",))
    rule.check(setting)
    traced, params = traced_of(setting), jax.jit(setting.family.init)(0)
    phase = Phase(jnp.array([False, True]), jnp.array([60, 0]))
    step = Seen(traced, setting.numbers(0), params, phase, {}, lambda f: None, rule.numbers)
    ones = jax.tree.map(jnp.ones_like, params)
    after = jax.jit(lambda own: rule.update(own, step))(ones)
    shallow, deep = (max(map(np.max, jax.tree.leaves(own))) for own in after.values())
    assert (shallow, deep) == (1.0, 2.0)


def test_where_a_gap_begins_to_be_changed_is_no_part_of_the_program():
    """Arms of a study that differ in it alone share their compiled programs."""
    early, late = (tiny.run(rule=f'{{"kind": "protection", "after": {n}}}') for n in (3, 10**6))
    assert blueprint(early) == blueprint(late) and hash(blueprint(early)) == hash(blueprint(late))
    assert early.identity() != late.identity()
    assert [own_numbers(run).rule["after"] for run in (early, late)] == [3, 10**6]
