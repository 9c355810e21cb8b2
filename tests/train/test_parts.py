"""Gradients of parts of a loss against separate backward passes and NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.settings.objective import Losses
from rare_retention.train.parts import gradient, gram, inner, parts

TASKS = 4


def weights(seed, students=3):
    """Two groups of students of different shapes."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.standard_normal((students, *shape)), jnp.float32)

    return {"big": {"w": draw(TASKS, 5), "v": draw(5)}, "small": {"w": draw(TASKS, 2)}}


def losses(params):
    """Losses [R, K] that share weights among tasks, but not among students."""
    shared = jnp.tanh(params["big"]["v"])[:, None]
    big = jnp.square(params["big"]["w"] * shared - 1).sum(-1)
    common = params["small"]["w"].sum(1, keepdims=True)
    return {"big": big, "small": jnp.square(params["small"]["w"] + common).sum(-1)}


def in_parts(params):
    return {group: Losses(own) for group, own in losses(params).items()}


@jax.jit
def backward(alone, weight):
    """Gradient of the weighted losses of students that are trained alone."""
    return jax.grad(lambda p: sum((weight * loss).sum() for loss in losses(p).values()))(alone)


def close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("student", range(3))
def test_gradient_is_each_students_own(student):
    """Students are trained side by side as if each were alone."""
    params = weights(0)
    split, found = jax.jit(lambda p: gradient(in_parts, p))(params)
    split = {group: own.by_task for group, own in split.items()}
    alone = jax.tree.map(lambda leaf: leaf[student : student + 1], params)
    close(jax.tree.map(lambda leaf: leaf[student : student + 1], split), losses(alone))
    expected = backward(alone, jnp.ones((1, TASKS)))
    close(jax.tree.map(lambda leaf: leaf[student : student + 1], found), expected)


def test_parts_are_separate_backward_passes():
    """Any weights of the tasks, not only a partition."""
    params = weights(1)
    select = np.random.default_rng(2).standard_normal((5, TASKS)).astype(np.float32)
    found = jax.jit(lambda p: parts(losses, p, jnp.asarray(select)))(params)
    for part, weight in enumerate(select):
        expected = backward(params, jnp.asarray(weight)[None])
        close(jax.tree.map(lambda leaf, part=part: leaf[part], found), expected)


@pytest.mark.parametrize("owner", [[0, 1, 2, 3], [0, 0, 1, 0], [0, 0, 0, 0]])
def test_parts_of_a_partition_sum_to_the_gradient(owner):
    """Each task in one part; a part without tasks is exactly zero."""
    params = weights(3)
    select = jnp.asarray(np.eye(4)[:, owner], jnp.float32)
    found, whole = jax.jit(lambda p: (parts(losses, p, select), gradient(in_parts, p)[1]))(params)
    close(jax.tree.map(lambda g: g.sum(0), found), whole)
    for part in set(range(4)) - set(owner):
        assert not any(np.any(g[part]) for g in jax.tree.leaves(found))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(-6, 6))
def test_inner_products_are_those_of_flat_vectors(seed, magnitude):
    """All leaves of a student count as one vector, at any magnitude."""
    rng = np.random.default_rng(seed)
    scale = 10.0**magnitude
    stack = {
        "w": (rng.standard_normal((3, 2, 4, 5)) * scale).astype(np.float32),
        "v": (rng.standard_normal((3, 2, 6)) * scale).astype(np.float32),
    }
    found = gram([{k: jnp.asarray(v[p]) for k, v in stack.items()} for p in range(3)])
    assert found.shape == (2, 3, 3)
    for student in range(2):
        rows = [
            np.concatenate([stack["w"][p, student].ravel(), stack["v"][p, student]])
            for p in range(3)
        ]
        flat = np.stack(rows).astype(np.float64)
        norms = np.linalg.norm(flat, axis=1)
        error = np.abs(found[student] - flat @ flat.T) / np.outer(norms, norms)
        assert error.max() < 1e-6


def test_inner_products_of_half_precision_are_taken_in_single():
    """bfloat16 has eight bits: the square of 1 + 2^-7 is no number of it."""
    vector = {"w": jnp.full((1, 4), 1 + 2**-7, jnp.bfloat16)}
    found = gram([vector])
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, [[[4 * (1 + 2**-7) ** 2]]])


def test_of_each_part_only_what_is_asked_for_is_kept():
    params = weights(2)
    norms = parts(
        losses, params, jnp.eye(TASKS), lambda part: {g: inner(p, p) for g, p in part.items()}
    )
    for group, own in parts(losses, params, jnp.eye(TASKS)).items():
        squares = sum(np.square(leaf).sum(tuple(range(2, leaf.ndim))) for leaf in own.values())
        np.testing.assert_allclose(norms[group], squares, rtol=1e-5)


def test_inner_products_are_taken_in_float32():
    vector = {"w": jnp.full((1, 4), 1 + 2**-7, jnp.bfloat16)}
    assert inner(vector, vector).dtype == jnp.float32
    np.testing.assert_allclose(inner(vector, vector), 4 * (1 + 2**-7) ** 2, rtol=1e-7)
