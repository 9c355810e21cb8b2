"""The traced part of settings whose rows are tasks, by way of the smallest of them."""

import jax
import jax.numpy as jnp
import numpy as np
from tiny import by_task

from rare_retention.settings.competition import Competition
from rare_retention.settings.traced import traced_of

SETTING = Competition(neurons=(2, 1), initialisations=2, rare=0.25, watch=(-1, 0))
TRACED, NUMBERS = traced_of(SETTING), SETTING.numbers(0)
ROWS = jnp.array([0, 1, 0, 0], jnp.int32)


def test_all_arrays_are_float32():
    assert TRACED.family.finest_precision == "float32"


def test_shares_are_counts_over_rows():
    np.testing.assert_allclose(TRACED.objective.shares(ROWS), [3 / 4, 1 / 4])


def test_watched_losses_are_columns_of_all_losses():
    params, key = TRACED.family.init(0), jax.random.key(0)
    every, watched = (
        f(params, ROWS, key, NUMBERS) for f in (by_task(TRACED), TRACED.watched_losses)
    )
    assert every.keys() == watched.keys() == {"neurons_00001", "neurons_00002"}
    for name, losses in every.items():
        np.testing.assert_array_equal(watched[name], losses[:, ::-1])


def test_each_array_of_weights_is_a_block_and_nothing_is_selected():
    gradient = {"angle": np.ones((2, 1))}
    assert TRACED.family.blocks(gradient) == gradient
    assert TRACED.family.selections(gradient, gradient) == {}
