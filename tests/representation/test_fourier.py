"""Fourier modes against an explicit basis, planted frequencies and random classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_models import circles, drawn, grid

from rare_retention.models.olmo import Architecture
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


@pytest.mark.parametrize(("classes", "planted"), [(13, [2, 5]), (12, [3, 6]), (24, [1, 7, 11])])
def test_planted_frequencies_are_the_modes(classes, planted):
    """The second token of each pair is the sum itself, so every state knows it."""
    model = circles(classes, planted)
    pairs = grid(classes)
    pairs[..., 1] = 2 + (np.arange(classes)[:, None] + np.arange(classes)) % classes
    means, differ = fourier.class_means(model, pairs)
    assert differ.tolist() == [True, True]
    for found in means:
        assert fourier.frequencies(classes)[fourier.modes(found)].tolist() == planted


def test_class_means_are_grouped_by_the_sum():
    shape = Architecture(layers=2, hidden=16, mlp=32, heads=4, vocabulary=48)
    model, pairs = assemble(shape, drawn(shape)), grid(6)
    means, differ = fourier.class_means(model, pairs)
    reached = np.asarray(states(model, pairs.reshape(-1, 2)), np.float64)[:, 1:, -1]
    total = np.add.outer(np.arange(6), np.arange(6)).ravel() % 6
    expected = [[reached[total == c, layer].mean(0) for c in range(6)] for layer in range(2)]
    np.testing.assert_allclose(means, expected, atol=1e-5)
    assert differ.all()


def test_sums_that_no_layer_takes_differ_by_rounding_alone():
    means, differ = fourier.class_means(circles(11, [1]), grid(11))
    assert not differ.any() and np.abs(means - means.mean(1, keepdims=True)).max() < 1e-5


def test_equal_classes_have_no_shares_and_no_modes():
    means = np.ones((9, 3))
    assert np.isnan(fourier.power(means)).all() and not fourier.modes(means).any()


@pytest.mark.parametrize(("classes", "hidden"), [(13, 2), (20, 3)])
def test_random_classes_have_as_many_modes_as_relabelling_gives(classes, hidden):
    rng = np.random.default_rng(classes)
    drawn = rng.standard_normal((400, classes, hidden))
    counts = np.array([fourier.modes(means).sum() for means in drawn])
    chance = np.mean([fourier.modes_by_chance(means, draws=10, seed=1) for means in drawn])
    rate = chance / (classes // 2)
    error = np.sqrt(rate * (1 - rate) / (len(drawn) * (classes // 2)))
    assert rate > 0.01
    assert abs(counts.mean() / (classes // 2) - rate) < 3.5 * error


def test_a_random_model_has_as_many_modes_as_relabelling_gives():
    shape = Architecture(layers=1, hidden=8, mlp=16, heads=2, vocabulary=60)
    counts, chance = [], []
    for seed in range(60):
        order = np.random.default_rng(seed).permutation(60)[:11]
        ((means,), _) = fourier.class_means(assemble(shape, drawn(shape)), order[grid(11, 0)])
        counts.append(fourier.modes(means).sum())
        chance.append(fourier.modes_by_chance(means, draws=20))
    rate = np.mean(chance) / 5
    error = np.sqrt(rate * (1 - rate) / (60 * 5))
    assert rate > 0.01 and abs(np.mean(counts) / 5 - rate) < 3.5 * error


def test_relabelling_is_seeded_and_finds_what_each_order_has():
    means = np.random.default_rng(0).standard_normal((10, 2))
    rng = np.random.default_rng(5)
    expected = np.mean([fourier.modes(means[rng.permutation(10)]).sum() for _ in range(7)])
    assert fourier.modes_by_chance(means, draws=7, seed=5) == pytest.approx(expected)


def test_a_higher_theta_admits_fewer_modes():
    means = np.random.default_rng(1).standard_normal((21, 2))
    share = fourier.power(means) / fourier.null_share(21)
    for theta in (0.5, 1.0, 2.0, 3.0):
        np.testing.assert_array_equal(fourier.modes(means, theta), share > theta)
