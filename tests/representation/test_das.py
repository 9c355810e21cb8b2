"""Alignment search: a planted direction is found; interventions do what they say."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from planted_models import drawn, grid, own_answers, weigher

from rare_retention.errors import ConfigError
from rare_retention.representation import das
from rare_retention.representation.residuals import assemble


@pytest.fixture(scope="module")
def planted():
    """A model with a planted direction, its task and that direction."""
    return weigher()


@pytest.fixture(scope="module")
def found(planted):
    """What a search finds in that model, and the direction."""
    model, tokens, direction = planted
    return das.search(model, tokens), direction


@pytest.fixture(scope="module")
def knowing(planted):
    """A freshly drawn model and the task that it answers right."""
    shape = planted[0].shape
    model = assemble(shape, drawn(shape))
    return model, own_answers(model, grid(len(planted[1])))


@pytest.fixture
def short(monkeypatch):
    """Searches of so few steps that they find nothing."""
    monkeypatch.setattr(das, "_STEPS", 3)


def test_a_planted_direction_is_found(found):
    alignment, direction = found
    assert abs(direction @ alignment.basis[:, 0]) > 0.99
    assert np.linalg.norm(alignment.basis) == pytest.approx(1, abs=1e-6)
    assert alignment.success > 0.95


def test_controls_tell_what_a_success_is_worth(found):
    alignment, _ = found
    assert alignment.random < 0.5 < alignment.whole
    assert 100 < alignment.counted < 900


@pytest.mark.usefixtures("short")
def test_a_search_is_decided_by_its_seed(planted):
    model, tokens, _ = planted
    first, again, other = (das.search(model, tokens, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.basis, again.basis)
    assert np.abs(first.basis - other.basis).max() > 0.01
    assert first[1:] == again[1:]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("position", "dimensions"), [(0, 3), (1, 16)])
def test_exchanging_the_embedding_of_a_token_exchanges_the_token(knowing, position, dimensions):
    """In a model that answers as the task asks, every such intervention succeeds."""
    where = {"layer": 0, "position": position, "dimensions": dimensions}
    result = das.search(*knowing, **where, pairs=60)
    assert result.basis.shape == (16, dimensions)
    np.testing.assert_allclose(result.basis.T @ result.basis, np.eye(dimensions), atol=1e-6)
    assert result.whole == 1.0 and result.counted > 10


@pytest.mark.usefixtures("short")
def test_after_the_last_layer_a_first_token_is_of_no_use(knowing):
    result = das.search(*knowing, layer=2, dimensions=16, pairs=60)
    assert result.whole == 0.0


@pytest.mark.parametrize("position", [0, 1])
def test_counterfactuals_have_the_sources_token(position):
    tokens = np.random.default_rng(0).integers(0, 5, (5, 5, 3)).astype(np.int32)
    tokens[..., :2] = grid(5, 0)
    learned, fresh = das.draw(tokens, position, 40, np.random.default_rng(1))
    seen = set()
    for base, source, label, counted in itertools.chain(
        *(zip(*map(np.asarray, pairs), strict=True) for pairs in (learned, fresh))
    ):
        changed = [base[0], base[1]]
        changed[position] = source[position]
        assert label == tokens[*changed, 2]
        assert counted == (label != tokens[*base, 2])
        if position == 0:
            assert source[1] == base[1]
        seen.add((*base.tolist(), *source.tolist()))
    assert len(seen) == 80


def test_every_pair_may_be_drawn():
    tokens = np.concatenate([grid(4, 0), np.zeros((4, 4, 1), np.int32)], -1)
    learned, fresh = das.draw(tokens, 0, 32, np.random.default_rng(0))
    assert (
        len(
            np.unique(
                np.concatenate([np.hstack([p.base, p.source]) for p in (learned, fresh)]), axis=0
            )
        )
        == 64
    )
    assert not learned.counted.any()


@pytest.mark.usefixtures("short")
def test_a_task_with_one_label_counts_nothing(planted):
    model, tokens = planted[0], planted[1].copy()
    tokens[..., 2] = 0
    result = das.search(model, tokens)
    assert result.counted == 0 and np.isnan([result.success, result.random, result.whole]).all()


def test_interchange_replaces_the_part_in_the_subspace():
    rng = np.random.default_rng(0)
    base, source = rng.standard_normal((2, 7, 3, 6)).astype(np.float32)
    basis = np.linalg.qr(rng.standard_normal((6, 2)))[0].astype(np.float32)
    found = np.asarray(das.interchange(*map(jnp.asarray, (base, source, basis)), 1))
    np.testing.assert_array_equal(found[:, [0, 2]], base[:, [0, 2]])
    np.testing.assert_allclose(found[:, 1] @ basis, source[:, 1] @ basis, atol=1e-5)
    other = np.eye(6) - basis @ basis.T
    np.testing.assert_allclose(found[:, 1] @ other, base[:, 1] @ other, atol=1e-5)


@pytest.mark.parametrize("dimensions", [0, 17])
def test_a_subspace_fits_into_the_stream(planted, dimensions):
    model, tokens, _ = planted
    with pytest.raises(ConfigError, match="dimensions: expected 1 to 16, the width of the stream"):
        das.search(model, tokens, dimensions=dimensions, pairs=20)
