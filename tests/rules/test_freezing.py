"""Freezing and protection of chosen blocks of weights in gaps."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny_text

from rare_retention.rules.freezing import Freezing
from rare_retention.rules.protection import Protection
from rare_retention.rules.rule import Phase, Seen
from rare_retention.settings.traced import traced_of

SETTING = tiny_text.language(sizes=("2x16x32x2",), watch=(1, 2))
TRACED = traced_of(SETTING)
NUMBERS = SETTING.numbers(0)
PARAMS = jax.jit(TRACED.family.init)(0)
(GROUP,) = PARAMS
UPDATES = jax.tree.map(
    lambda leaf: 0.1 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), PARAMS
)


def seen(rule, since):
    phase = Phase(jnp.array([since == 0, True]), jnp.array([since, 0]))
    return Seen(TRACED, NUMBERS, PARAMS, phase, {}, lambda f: None, rule.numbers)


def changed(rule, since=30):
    """Blocks of the update that a rule changes."""
    new = jax.jit(lambda updates: rule.update(updates, seen(rule, since)))(UPDATES)
    before, after = (TRACED.family.blocks(own[GROUP]) for own in (UPDATES, new))
    return {name for name in before if np.any(before[name] != after[name])}, after


def test_chosen_blocks_stay_and_the_others_go_on():
    chosen = ("layer 1 down", "embedding")
    names, after = changed(Freezing(blocks=chosen))
    assert names == set(chosen)
    assert all(not np.any(after[name]) for name in chosen)
    assert changed(Freezing(blocks=chosen), since=19)[0] == set()


def test_without_blocks_all_weights_stay():
    names, after = changed(Freezing(after=1), since=1)
    assert names == after.keys() and not any(map(np.any, after.values()))


def test_blocks_are_protected_each_by_itself():
    """By hand, in float64; what is no block of the rule's stays as it is."""
    chosen = ("layer 0 down", "embedding")
    names, after = changed(Protection(blocks=chosen))

    def loss(params):
        return TRACED.reference(params, NUMBERS)[GROUP][:, 0].sum()

    gradient = TRACED.family.blocks(jax.jit(jax.grad(loss))(PARAMS)[GROUP])
    update = TRACED.family.blocks(UPDATES[GROUP])
    harmful = set()
    for name in chosen:
        u, g = (np.asarray(own[name], np.float64) for own in (update, gradient))
        inner = (u * g).sum()
        if inner > 0:
            harmful.add(name)
        np.testing.assert_allclose(after[name], u - max(inner, 0) / (g * g).sum() * g, atol=1e-5)
    assert names == harmful and harmful
