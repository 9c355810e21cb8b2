"""What the kinds of evidence find in a set of models."""

import numpy as np
import pytest
from planted_models import drawn, grid, own_answers, weigher

from rare_retention.models.llama_shape import Llama
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.representation import das, fourier, neurons
from rare_retention.representation.ask import ASK, measure
from rare_retention.representation.kinds import KINDS, Options, Subject
from rare_retention.representation.residuals import assemble

SHAPES = {
    name: OlmoShape(layers=layers, hidden=8, mlp=12, heads=2, vocabulary=30)
    for name, layers in (("deep", 2), ("flat", 1))
}


@pytest.fixture(scope="module")
def models():
    return {
        name: [assemble(shape, drawn(shape, seed)) for seed in range(2)]
        for name, shape in SHAPES.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_found_in_another_architecture(kind, monkeypatch):
    """One whose words are its embedding, and whose queries share keys."""
    monkeypatch.setattr(fourier, "RELABELLINGS", 2)
    monkeypatch.setattr(das, "_STEPS", 2)
    family = Llama(kv_heads=1, tied=True)
    shape = family.shape(layers=2, hidden=8, mlp=12, heads=2, vocabulary=30)
    model = assemble(shape, drawn(shape))
    pairs = grid(5)
    label = 2 + (pairs.sum(-1, keepdims=True, dtype=np.int32) - 4) % 5
    asked = {"sum": Subject(np.concatenate([pairs, label], -1), True, np.eye(5) > 0)}
    found = measure(kind, {"one": [model]}, asked, Options(pairs=20, dimensions=2))
    for measured in KINDS[kind].quantities:
        assert np.isfinite(found[measured]).any(), measured


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
    for name in ("probe", "fourier", "neurons", "scores"):
        values = ASK[name](models["deep"][0], subjects["sum"], Options())
        assert set(values) == set(KINDS[name].quantities)


def test_every_kind_can_be_asked():
    assert ASK.keys() == KINDS.keys()
