"""Linear probes against a plain float64 computation, and against values planted in residuals."""

import numpy as np
import pytest
from planted_models import weigher

from rare_retention.representation.probe import FOLDS, probe
from rare_retention.representation.residuals import activations


def made(symbols=30, hidden=12, contexts=4, noise=0.3, seed=0):
    """Residuals of instances whose values stand along one of many directions, and some noise."""
    rng = np.random.default_rng(seed)
    symbol = np.arange(symbols).repeat(contexts)
    own = rng.standard_normal((symbols, hidden)) + 0.1 * np.arange(symbols)[:, None]
    return own[symbol] + noise * rng.standard_normal((len(symbol), hidden)), symbol


def regression(x, y, at, components):
    """Least squares on principal components, from the covariance's eigenvectors."""
    mean = x.mean(0)
    _, vectors = np.linalg.eigh((x - mean).T @ (x - mean))
    kept = vectors[:, ::-1][:, :components]
    design = np.column_stack([np.ones(len(x)), (x - mean) @ kept])
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    return np.column_stack([np.ones(len(at)), (at - mean) @ kept]) @ weights


@pytest.mark.parametrize("components", [3, 50])
def test_the_same_r2_as_a_plain_regression(components):
    x, symbol = made()
    y = symbol.astype(np.float64)
    found = probe(x, y, symbol, components, seed=3)
    assert found.components == min(components, 12)
    order = np.random.default_rng(3).permutation(30)
    read = np.empty(len(y))
    for fold in range(FOLDS):
        test = np.isin(symbol, order[fold::FOLDS])
        read[test] = regression(x[~test], y[~test], x[test], found.components)
    total = np.square(y - y.mean()).sum()
    assert found.r2 == pytest.approx(1 - np.square(y - read).sum() / total)
    whole = regression(x, y, x, found.components)
    assert found.in_sample == pytest.approx(1 - np.square(y - whole).sum() / total)


def test_a_planted_value_is_found():
    model, tokens, _ = weigher(symbols=40)
    pairs = tokens[:, :3, :2].reshape(-1, 2)
    symbol = np.arange(40).repeat(3)
    found = probe(activations(model, pairs, (0,))[:, 1, 0], symbol, symbol)
    assert found.r2 > 0.99 and found.in_sample > 0.99


def test_a_table_of_symbols_is_no_value():
    """Random vectors of 60 symbols fit half of any values, and say nothing of another symbol's."""
    rng, symbol = np.random.default_rng(0), np.arange(60)
    found = [probe(rng.standard_normal((60, 80)), symbol, symbol, seed=i) for i in range(6)]
    assert {fit.components for fit in found} == {30}
    assert np.mean([fit.in_sample for fit in found]) == pytest.approx(30 / 59, abs=0.05)
    assert max(fit.r2 for fit in found) < 0.2 and np.mean([fit.r2 for fit in found]) < 0


def test_instances_of_one_symbol_add_nothing():
    x, symbol = made(contexts=1)
    twice = probe(np.concatenate([x, x]), np.tile(symbol, 2), np.tile(symbol, 2))
    assert twice == pytest.approx(probe(x, symbol, symbol))


def test_a_sum_may_be_probed_as_well():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 20, (2, 400))
    x = np.outer(first + second, rng.standard_normal(8))
    assert probe(x, first + second, first + second).r2 > 0.99


def test_features_without_any_spread_read_the_mean():
    found = probe(np.ones((40, 4)), np.arange(40), np.arange(40))
    assert found.in_sample == pytest.approx(0) and found.r2 < 0


def test_few_symbols_take_fewer_components():
    x, symbol = made(symbols=7)
    assert probe(x, symbol, symbol).components == 3
