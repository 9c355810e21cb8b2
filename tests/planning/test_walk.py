"""Operations as they are traced, against what can be counted by hand and by formula."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
import tiny
import tiny_text

from rare_retention.planning.walk import products, step_flops
from rare_retention.train.plan import sizes


def count(function, *arguments, depends, length=0):
    traced = jax.make_jaxpr(function)(*arguments).jaxpr
    return products(traced, depends, length)


X, W = jnp.ones((5, 3)), jnp.ones((3, 7))
FORWARD = 2.0 * 5 * 3 * 7


def test_a_product_costs_once_more_for_each_side_that_depends_on_weights():
    assert count(jnp.matmul, X, W, depends=[False, False]) == (FORWARD, (False,))
    assert count(jnp.matmul, X, W, depends=[False, True]) == (2 * FORWARD, (True,))
    assert count(jnp.matmul, X, W, depends=[True, True]) == (3 * FORWARD, (True,))


def test_loops_count_by_their_turns_and_what_they_carry_comes_to_depend():
    square = jnp.ones((4, 4))

    def looped(w):
        def turn(carry, _):
            return carry @ w, None

        return jax.lax.scan(turn, jnp.ones((2, 4)), None, length=6)[0]

    # The carry depends on the weights from the second turn on, which stands for all.
    assert count(looped, square, depends=[True]) == (6 * 3 * 2.0 * 2 * 4 * 4, (True,))


def test_branches_count_by_the_longest_and_checkpoints_once():
    def either(w):
        return jax.lax.cond(w.sum() > 0, lambda: X @ w, lambda: jnp.zeros((5, 7)))

    assert count(either, W, depends=[True])[0] == 2 * FORWARD
    kept = jax.checkpoint(lambda w: X @ w)
    assert count(kept, W, depends=[True])[0] == 2 * FORWARD


def test_products_of_positions_with_each_other_count_half():
    q = jnp.ones((2, 8, 3))

    def scores(q):
        return jnp.einsum("btc,bsc->bts", q, q)

    whole = 3 * 2.0 * 2 * 8 * 8 * 3
    assert count(scores, q, depends=[True], length=8)[0] == whole / 2
    assert count(scores, q, depends=[True])[0] == whole
    assert (
        count(jnp.matmul, jnp.ones((8, 8)), jnp.ones((8, 8)), depends=[True, True], length=8)[0]
        == 3 * 2.0 * 8**3
    )  # weights, which happen to be as wide as a window is long


def test_a_sum_weighted_by_a_vector_is_no_product_of_matrices():
    assert count(jnp.matmul, X, jnp.ones(3), depends=[True, True])[0] == 0


@pytest.mark.parametrize("remat", ["none", "full"])
@pytest.mark.parametrize("initialisations", [1, 2])
def test_language_models_have_as_many_as_their_family_says(remat, initialisations):
    setting = tiny_text.language(initialisations=initialisations)
    compute = dataclasses.replace(setting.compute, remat=remat)
    run = tiny_text.run(dataclasses.replace(setting, compute=compute))
    assert step_flops(run) == pytest.approx(sizes(run).flops_per_step, rel=0.02)


def test_students_of_the_synthetic_settings_have_at_least_as_many_as_their_family_says():
    """Rows are padded to tiles of one task, which the formula does not count."""
    run = tiny.study().run
    assert 1 <= step_flops(run) / sizes(run).flops_per_step < 2.5
