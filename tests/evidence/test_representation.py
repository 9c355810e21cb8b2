"""Evidence from snapshots: the last of it, how it grows, and tasks that have none."""

import numpy as np
import pytest
from made_representation import LAYERS, SNAPSHOTS, representation

from rare_retention.evidence import representation as evidence


@pytest.fixture(scope="module")
def results():
    return representation(rates=(), streams=1)


def test_a_task_that_cannot_be_asked_is_left_out(results):
    _, comparison, addition = results["task"].to_numpy().tolist()
    assert evidence.asked(results, "alignment") == [comparison, addition]
    assert evidence.asked(results, "modes") == [addition]  # a comparison has no sum
    unmeasured = results.assign(modes=results["modes"] * np.nan)
    assert evidence.asked(unmeasured, "modes") == [comparison, addition]


def test_values_over_training_stand_at_the_steps_of_the_snapshots(results):
    addition = results["task"].to_numpy()[2].item()
    found = evidence.over_training(results, "r2", addition)
    assert found["step"].to_numpy().tolist() == list(SNAPSHOTS)
    expected = results["r2"].isel(task=2).transpose("snapshot", ...)
    np.testing.assert_array_equal(found.transpose("step", ...), expected)
    late = results.assign(r2=results["r2"].where(results["snapshot"] > 0))
    assert evidence.over_training(late, "r2", addition)["step"].to_numpy().tolist() == [
        *SNAPSHOTS[1:]
    ]


def test_the_end_is_the_last_snapshot(results):
    comparison = results["task"].to_numpy()[1].item()
    found = evidence.at_end(results, "alignment", comparison)
    assert "step" not in found.dims
    np.testing.assert_array_equal(found, results["alignment"].isel(task=1, snapshot=-1))


def test_modes_are_summed_over_layers_beside_those_of_chance(results):
    addition = results["task"].to_numpy()[2].item()
    layers = results.isel(task=2, snapshot=-1)
    for found, name in zip(
        evidence.modes_at_end(results, addition), ("modes", "modes_by_chance"), strict=True
    ):
        total = sum(layers[name].isel(layer=i) for i in range(LAYERS))
        np.testing.assert_allclose(found, total)


def test_no_layer_measured_is_no_mode_counted(results):
    addition = results["task"].to_numpy()[2].item()
    lost = results.copy(deep=True)
    lost["modes"][{"size": 0}] = np.nan
    found, _ = evidence.modes_at_end(lost, addition)
    assert np.isnan(found.isel(size=0)).all() and np.isfinite(found.isel(size=1)).all()


def test_evidence_is_followed_over_the_snapshots_that_all_streams_have():
    point = representation().isel(per_token=0).copy(deep=True)
    point["r2"].loc[{"stream": 0, "snapshot": 100}] = np.nan
    found = evidence.over_training(point, "r2", "comparison")
    assert found["step"].values.tolist() == [0, 1000, 10_000]
    assert found.notnull().all()
    last = point["r2"].sel(snapshot=10_000, task="comparison")
    np.testing.assert_array_equal(evidence.at_end(point, "r2", "comparison"), last)
