"""Cosines with a task's gradient, on vectors whose cosines are planted."""

import made_injection
import numpy as np
import pytest
from made_injection import REST, SHOWN

from rare_retention.evidence import cosines


@pytest.fixture(scope="module")
def point():
    """One gap of 20 steps."""
    return made_injection.study(gaps=(20,)).isel(gap=0)


def test_the_task_is_looked_for_on_its_neurons(point):
    assert cosines.blocks(point) == ("neurons", "all")
    synthetic = point.assign_coords(block=["encoder", "decoders", "all"])
    assert cosines.blocks(synthetic) == ("encoder", "all")


def test_batches_with_and_without_the_task_are_told_apart(point):
    found = cosines.cosines(point)
    steps = found["step"].to_numpy()
    assert 0 not in steps
    for unit in found["shown"].transpose(..., "step").to_numpy().reshape(-1, len(steps)):
        np.testing.assert_array_equal(unit, steps % 20 == 0)
    assert found["g_t"].where(found["shown"] == 0).isnull().all()


def test_means_are_what_was_planted(point):
    found = cosines.cosines(point).sel(block="neurons")
    shown, rest = cosines.at_exposures(found), cosines.between_exposures(found)
    np.testing.assert_allclose(shown["g"].mean(("stream", "initialisation")), SHOWN, atol=0.01)
    np.testing.assert_allclose(shown["g_t"], 0.6, rtol=1e-5)
    np.testing.assert_allclose(rest["cosine"].mean(("stream", "initialisation")), REST, atol=0.01)
    assert (rest["magnitude"] >= abs(rest["cosine"])).all()


def test_the_parts_sum_to_the_batch(point):
    """|g| cos(g) = |g_t| cos(g_t) + |g_nt| cos(g_nt), by hand from one Gram matrix."""
    at = {"step": 20, "stream": 1, "size": "20M", "initialisation": 0, "block": "all"}
    own, rest, reference, _ = (point["gram"].sel(at).to_numpy().astype(float)[i] for i in range(4))
    found = cosines.cosines(point).sel(at)
    for part, inner, square in (
        ("g_t", own[2], own[0]),
        ("g_nt", rest[2], rest[1]),
        ("g", own[2] + rest[2], own[0] + 2 * own[1] + rest[1]),
    ):
        assert float(found[part]) == pytest.approx(inner / np.sqrt(square * reference[2]))


def test_a_second_watched_task_belongs_to_the_others(point):
    """Of two watched tasks the rarest is followed; the terms of the other one interfere."""
    names = ["batch text", "batch comparison", "batch others", "reference text",
             "reference comparison", "update"]  # fmt: skip
    vectors = np.array([[0, 2], [1, 0], [0, 1], [0, 1], [1, 0], [0, 0.0]])
    gram = np.broadcast_to(vectors @ vectors.T, (1, 2, 6, 6))
    point = point.drop_vars(["gram", "block_weights", "vector", "other", "block"])
    point = point.drop_dims("exposure")
    point = point.isel(step=[1, 2])
    point = point.assign(
        gram=(("block", "step", "vector", "other"), gram),
        block_weights=(("step", "block"), [[8.0], [8.0]]),
    )
    point = point.assign_coords(
        vector=names, other=names, block=["all"], watch=["text", "comparison"]
    )
    found = cosines.cosines(point)
    assert found["g_t"].values.ravel().tolist() == [1, 1]
    assert found["g_nt"].values.ravel().tolist() == [0, 0]
    np.testing.assert_allclose(found["g"], 1 / 10**0.5)


def test_a_missing_state_takes_its_student_along(point):
    lost = point.copy(deep=True)
    lost["gram"][{"stream": 1, "size": 0, "step": -1}] = np.nan
    found = cosines.cosines(lost)
    for values in (cosines.at_exposures(found)["g"], cosines.between_exposures(found)["cosine"]):
        missing = values.sel(block="all").isnull().transpose("size", "stream", "initialisation")
        assert missing.values.ravel().tolist() == [False, True, False, False, False, False]


def test_cosines_over_a_cycle_begin_with_the_batch_of_the_exposure(point):
    found = cosines.cosines(point).sel(block="neurons")
    cycle = cosines.through_cycles(point, found)
    assert cycle["since"].values[0] == 0 and cycle["since"].values[-1] == 19
    mean = cycle.mean(("stream", "initialisation"))
    np.testing.assert_allclose(mean.sel(since=0), SHOWN, atol=0.02)
    rest = mean.sel(since=slice(1, None)).mean("since")
    np.testing.assert_allclose(rest, REST, atol=0.02)
    every = point.assign(exposure_step=point["exposure_step"] * 0 + np.arange(75))
    assert cosines.through_cycles(every, found) is None


def test_a_stream_may_be_measured_at_steps_of_its_own(point):
    """Steps that another stream has alone spoil no mean and no cycle of this one."""
    own = point.copy(deep=True)
    regular = [s for s in own["step"].values.tolist() if s % 20 not in (0, 1, 2, 19)]
    alone = regular[1:4]
    for name in ("gram", "block_weights"):
        own[name].loc[{"stream": 1, "step": alone}] = np.nan
    found = cosines.cosines(own).sel(block="neurons")
    for values in (cosines.at_exposures(found)["g"], cosines.between_exposures(found)["cosine"]):
        assert values.notnull().all()
    cycle = cosines.through_cycles(own, found)
    assert cycle.notnull().all() and 0 in cycle["since"]
