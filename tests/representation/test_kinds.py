"""What the kinds of evidence measure of a set of models, and what they refuse."""

import numpy as np
import pytest
from planted_models import drawn, grid, own_answers, weigher

from rare_retention.errors import ConfigError
from rare_retention.models.olmo import Architecture
from rare_retention.representation import fourier, neurons
from rare_retention.representation.kinds import KINDS, Options, Subject, check, measure, subject
from rare_retention.representation.residuals import assemble
from rare_retention.tasks import Comparison, ModularAddition
from rare_retention.tasks.injected import instances

SHAPES = {
    name: Architecture(layers=layers, hidden=8, mlp=12, heads=2, vocabulary=30)
    for name, layers in (("deep", 2), ("flat", 1))
}


@pytest.fixture(scope="module")
def models():
    return {
        name: [assemble(shape, drawn(shape, seed)) for seed in range(2)]
        for name, shape in SHAPES.items()
    }


def test_a_subject_is_a_table_of_pairs_of_values():
    tasks = (ModularAddition(symbols=5), Comparison(symbols=4))
    sums, order = map(subject, tasks, instances(tasks, 50, 49, seed=3))
    assert (sums.cyclic, order.cyclic) == (True, False)
    value = {token: v for v, token in enumerate(sums.tokens[:, 0, 0])}
    for a in range(5):
        for b in range(5):
            assert [value[t] for t in sums.tokens[a, b]] == [a, b, (a + b) % 5]
    labels = order.tokens[..., 2]
    assert (labels == np.where(np.triu(np.ones((4, 4)), 1), labels[0, 1], labels[1, 0])).all()


def test_models_and_tasks_have_places_of_their_own(models, monkeypatch):
    monkeypatch.setattr(fourier, "RELABELLINGS", 3)
    first = own_answers(models["deep"][0], grid(4))
    subjects = {
        "order": Subject(first, cyclic=False),
        "sum": Subject(first[::-1, ::-1], cyclic=True),
    }
    found = measure("neurons", models, subjects, Options())
    assert found["null_effect"].dims == ("size", "initialisation", "task", "layer")
    assert found["size"].values.tolist() == ["deep", "flat"]
    assert found["task"].values.tolist() == ["order", "sum"]
    assert found["layer"].values.tolist() == [1, 2]
    for name, group in models.items():
        for i, model in enumerate(group):
            effects = neurons.null_effects(model, first).scores
            mine = found["null_effect"].sel(size=name, initialisation=i, task="order")
            np.testing.assert_allclose(mine[: len(effects)], effects, rtol=1e-6)
            assert np.isnan(mine[len(effects) :]).all()
    named = found["task_neuron"].sel(size="flat", task="sum")
    assert sorted(named[0].values[:6]) == list(range(6)) and np.isnan(named[0, 6:]).all()
    modes = measure("fourier", models, subjects, Options())["modes"]
    assert (
        modes.sel(task="order").isnull().all()
        and modes.sel(task="sum", size="deep").notnull().all()
    )


@pytest.mark.parametrize("position", [0, 1])
def test_probes_read_the_value_of_the_token_at_their_position(position):
    """The planted value stands where its token does, and nowhere in the noise of the other."""
    model, tokens, _ = weigher(symbols=40)
    found = measure(
        "probe",
        {"one": [model]},
        {"order": Subject(tokens, cyclic=False)},
        Options(position=position),
    )
    assert found["r2"].item() > 0.99


def test_measures_are_what_is_measured(models):
    subjects = {"sum": Subject(own_answers(models["deep"][0], grid(4)), cyclic=True)}
    for name in ("probe", "fourier", "neurons"):
        kind = KINDS[name]
        values = kind.measure(models["deep"][0], subjects["sum"], Options())
        assert set(values) == set(kind.measures)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_reads_some_of_the_options(name):
    changed = Options(layer=2, position=1, components=3, dimensions=2, pairs=7)
    read = KINDS[name].read(changed)
    assert set(read) == set(KINDS[name].options) and read.items() <= vars(changed).items()


def test_only_what_a_kind_reads_is_checked():
    few = [Subject(grid(4), cyclic=True)]
    check(Options(layer=9, dimensions=99), ["fourier", "neurons"], SHAPES, few)
    with pytest.raises(ConfigError, match="layer: expected 0 to 2, the layers of deep, got 9"):
        check(Options(layer=9), ["probe"], SHAPES, few)
    with pytest.raises(ConfigError, match="layer: expected 0 to 1, the layers of flat, got 2"):
        check(Options(layer=2), ["probe"], SHAPES, few)
    with pytest.raises(ConfigError, match="dimensions: the residual stream of deep has 8"):
        check(Options(dimensions=9), ["das"], SHAPES, few)
    with pytest.raises(ConfigError, match="pairs: expected 1 to 32"):
        check(Options(), ["das"], SHAPES, few)


@pytest.mark.parametrize("name", ["components", "dimensions", "pairs"])
def test_counts_are_at_least_1(name):
    with pytest.raises(ConfigError, match=f"{name}: expected at least 1, got 0"):
        Options(**{name: 0})
