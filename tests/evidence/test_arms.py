"""Arms: levels above the control, room, shares of what is lacking."""

import made_arms
import numpy as np
import pytest

from rare_retention.evidence import arms, control, states

LEVELS = {
    "even": (0.0, 0.95, 0.97),
    "gap 50": (0.0, 0.2, 0.9),
    "gap 50, protected": (0.1, 0.9, 0.9),
    "gap 50, more rows": (0.0, 0.4, 0.9),
    "gap 50, both": (0.1, 0.9, 0.9),
}


@pytest.fixture
def point():
    (found,) = arms.points(made_arms.results(LEVELS, noise=0.0, widths=(2, 4, 16)))
    return found


def mean(values):
    return values.mean([d for d in states.UNITS if d in values.dims]).to_numpy()


def test_schedules_are_those_without_a_counterfactual(point):
    assert arms.bursts(point) == ["gap 50"]
    assert arms.has(point, "even", "gap 50, both") and not arms.has(point, "gap 400")
    assert arms.named("gap 50", "") == "gap 50"
    assert not list(arms.points(point.isel(arm=0)))


def test_what_is_held_is_told_from_the_control_at_the_end_and_at_half_of_the_steps(point):
    by_chance = point.assign(signal=0.2 + 0.8 * point["signal"])  # in all arms, the control too
    for each in (point, by_chance):
        np.testing.assert_allclose(mean(arms.held(each, "gap 50")), LEVELS["gap 50"], atol=1e-6)
        half = mean(arms.held(each, "gap 50", early=True))
        np.testing.assert_allclose(half, np.array(LEVELS["gap 50"]) / 2, atol=1e-6)


def test_who_has_room_and_holds_it_evenly(point):
    assert arms.room(point).to_numpy().tolist() == [False, True, True]
    assert arms.able(point).to_numpy().tolist() == [False, True, True]
    weak = point.assign(signal=0.9 * point["signal"])
    assert arms.able(weak).to_numpy().tolist() == [False, False, False]


def test_shares_are_of_what_is_lacking_beside_the_largest(point):
    share = mean(arms.closed(point, "gap 50", arms.PROTECTED))
    np.testing.assert_allclose(share[:2], [0.1 / 0.9, 1.0], atol=1e-5)
    assert np.isnan(share[2])  # the largest lacks nothing
    np.testing.assert_allclose(
        mean(arms.closed(point, "gap 50", arms.MORE))[1], 0.2 / 0.7, atol=1e-5
    )
    kept = mean(arms.no_forgetting(point, "gap 50"))
    np.testing.assert_allclose(kept[1], (0.7 + 0.5) / 2 / 0.7, atol=1e-5)


def test_a_share_is_a_ratio_of_means():
    """One stream that lacks next to nothing does not decide the mean."""
    results = made_arms.results(LEVELS, noise=0.0, widths=(2, 4, 16))
    signal = results["signal"].copy()
    place = {"stream": 0, "size": 1, "step": -1, "task": -1}
    for name, level in (("gap 50", 0.89), ("gap 50, protected", 0.5)):
        signal[{**place, "arm": list(results["arm"].to_numpy()).index(name)}] = level
    (found,) = arms.points(results.assign(signal=signal))
    lack, rise = (0.01 + 3 * 0.7) / 4, (0.5 - 0.89 + 3 * 0.7) / 4
    share = mean(arms.closed(found, "gap 50", arms.PROTECTED))[1]
    assert share == pytest.approx(rise / lack, abs=1e-5)


def test_what_a_burst_gains_of_what_is_missing_and_a_gap_leaves(point):
    """Planted by `made_control.signal`: a half is gained of what is missing, 0.6 of it is left."""
    each = arms.cycles(point, "gap 50")
    early = arms.acquisition(each)
    np.testing.assert_allclose(mean(early), 0.5, atol=0.05)
    factor = mean(control.retention_factor(each.isel(cycle=slice(0, 5))))
    np.testing.assert_allclose(factor, 0.6, atol=0.02)


def test_without_cycles_of_the_control_there_are_none(point):
    unmeasured = point["signal"].where((point["arm"] != "never shown") | (point["step"] == 649))
    assert arms.cycles(point.assign(signal=unmeasured), "gap 50") is None
