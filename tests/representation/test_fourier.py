"""Fourier modes against an explicit basis, planted frequencies and random classes."""

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_models import circles, drawn, grid

from rare_retention.models.architecture import Compute
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.parallel import logical_names
from rare_retention.representation import fourier
from rare_retention.representation.residuals import assemble, states


def basis(classes):
    """Frequency of each vector of the orthonormal real Fourier basis, and the vectors."""
    place = np.arange(classes)
    vectors = []
    for k in range(1, classes // 2 + 1):
        for wave in (np.cos, np.sin):
            vector = wave(2 * np.pi * k * place / classes)
            if np.abs(vector).max() > 1e-9:
                vectors.append((k, vector / np.linalg.norm(vector)))
    return np.array([k for k, _ in vectors]), np.array([v for _, v in vectors])


@settings(max_examples=30)
@given(st.integers(2, 31), st.integers(1, 6), st.integers(0, 2**20))
def test_shares_are_those_of_an_orthonormal_basis(classes, hidden, seed):
    means = np.random.default_rng(seed).standard_normal((classes, hidden))
    owner, vectors = basis(classes)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(classes - 1), atol=1e-9)
    parts = np.square(vectors @ means).sum(1)
    expected = [parts[owner == k].sum() for k in fourier.frequencies(classes)]
    np.testing.assert_allclose(fourier.power(means), expected / np.sum(expected), atol=1e-9)
    assert fourier.power(means).sum() == pytest.approx(1)
    null = [(owner == k).sum() / (classes - 1) for k in fourier.frequencies(classes)]
    np.testing.assert_allclose(fourier.null_share(classes), null)


@pytest.mark.parametrize(("classes", "planted"), [(13, [2, 5]), (12, [3, 6])])
def test_planted_frequencies_are_the_modes(classes, planted):
    """The second token of each pair is the sum itself, so every state knows it."""
    model = circles(classes, planted)
    pairs = grid(classes)
    pairs[..., 1] = 2 + (np.arange(classes)[:, None] + np.arange(classes)) % classes
    means, differ = fourier.class_means(model, pairs)
    assert differ.tolist() == [True, True]
    assert fourier.count(model, pairs).tolist() == 2 * [len(planted)]
    for found in means:
        assert fourier.frequencies(classes)[fourier.modes(found)].tolist() == planted


def test_class_means_are_grouped_by_the_sum():
    shape = circles(13, [2, 5]).shape
    model, pairs = assemble(shape, drawn(shape)), grid(13)
    means, differ = fourier.class_means(model, pairs)
    reached = np.asarray(nnx.jit(states)(model, pairs.reshape(-1, 2)), np.float64)[:, 1:, -1]
    total = np.add.outer(np.arange(13), np.arange(13)).ravel() % 13
    expected = [[reached[total == c, layer].mean(0) for c in range(13)] for layer in range(2)]
    np.testing.assert_allclose(means, expected, atol=1e-5)
    assert differ.all()


def test_sums_that_no_layer_takes_differ_by_rounding_alone():
    means, differ = fourier.class_means(circles(13, [2, 5]), grid(13))
    assert not differ.any() and np.abs(means - means.mean(1, keepdims=True)).max() < 1e-5


def test_equal_classes_have_no_shares_and_no_modes():
    means = np.ones((9, 3))
    assert np.isnan(fourier.power(means)).all() and not fourier.modes(means).any()


def random_models(shape, count):
    """Freshly drawn models of one shape."""

    @jax.jit
    def draw(key):
        rngs = nnx.Rngs(key)
        with logical_names():
            return nnx.to_pure_dict(nnx.state(shape.build(Compute(), rngs)))

    keys = jax.random.split(jax.random.key(0), count)
    graph, _ = nnx.split(assemble(shape, draw(keys[0])))
    return [nnx.merge(graph, draw(key)) for key in keys]


def test_random_models_have_as_many_modes_as_symbols_with_random_values():
    shape = OlmoShape(layers=1, hidden=8, mlp=16, heads=2, vocabulary=60)
    counts, chance = [], []
    for seed, model in enumerate(random_models(shape, 60)):
        pairs = np.random.default_rng(seed).permutation(60)[:11][grid(11, 0)]
        counts.append(fourier.count(model, pairs)[0])
        chance.append(fourier.count_by_chance(model, pairs, draws=10)[0])
    rate = np.mean(chance) / 5
    error = np.sqrt(rate * (1 - rate) / (60 * 5))
    assert rate > 0.02 and abs(np.mean(counts) / 5 - rate) < 3 * error


def test_relabelling_is_seeded_and_moves_the_symbols():
    model, pairs = circles(13, [1, 2]), grid(13)
    pairs[..., 1] = 2 + (np.arange(13)[:, None] + np.arange(13)) % 13
    rng, expected = np.random.default_rng(5), []
    for _ in range(4):
        order = rng.permutation(13)
        expected.append(fourier.count(model, pairs[np.ix_(order, order)]))
    found = fourier.count_by_chance(model, pairs, draws=4, seed=5)
    np.testing.assert_allclose(found, np.mean(expected, 0))
    assert fourier.count(model, pairs).tolist() == [2, 2] and found[0] < 2


def test_a_higher_theta_admits_fewer_modes():
    means = np.random.default_rng(1).standard_normal((21, 2))
    share = fourier.power(means) / fourier.null_share(21)
    for theta in (0.5, 1.0, 2.0, 3.0):
        np.testing.assert_array_equal(fourier.modes(means, theta), share > theta)
