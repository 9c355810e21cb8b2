"""Curves of forgetting with planted half-lives, censored ones among them."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.evidence import forgetting

STEPS = np.array([0, 2, 5, 10, 20, 40, 60, 80, 120, 160, 200])


def curve(half, stays, start=0.8, steps=STEPS):
    level = start * (stays + (1 - stays) * 0.5 ** (steps / half))
    return xr.DataArray(level, {"step": steps}, ("step",))


def noisy(half, stays, noise=0.01, units=40):
    rng = np.random.default_rng(0)
    whole = curve(half, stays)
    return whole + xr.DataArray(
        noise * rng.standard_normal((units, len(STEPS))), dims=("stream", "step")
    )


@pytest.mark.parametrize(("half", "stays"), [(20, 0.0), (20, 0.3), (60, 0.2), (5, 0.6), (150, 0.0)])
def test_the_fit_gives_back_what_a_curve_was_made_of(half, stays):
    found = forgetting.curves(curve(half, stays).assign_coords(step=STEPS + 500))
    assert found["fading"].item() == pytest.approx(half, rel=1e-3)
    assert found["asymptote"].item() == pytest.approx(stays, abs=1e-3)
    assert found["start"].item() == 0.8 and not found["fading_censored"].item()
    assert found["reason"].item() == ""


def test_noise_moves_the_fit_little():
    found = forgetting.curves(noisy(20, 0.3))
    assert found["fading"].mean().item() == pytest.approx(20, rel=0.1)
    assert found["asymptote"].mean().item() == pytest.approx(0.3, abs=0.02)


def test_the_half_life_of_the_curve_is_where_it_has_half_of_its_start():
    """With 0.2 that stays half is left where 2^(-t/h) = 3/8; where half stays, never."""
    steps = np.arange(400)
    found = forgetting.curves(curve(60, 0.2, steps=steps))
    assert found["half_life"].item() == pytest.approx(60 * np.log2(8 / 3), rel=1e-3)
    assert not found["censored"].item()
    kept = forgetting.curves(curve(20, 0.55))
    assert (kept["half_life"].item(), kept["censored"].item()) == (200, True)
    assert kept["fading"].item() == pytest.approx(20, rel=1e-3)  # the rest has gone by then


def test_interpolation_is_between_the_states_that_were_measured():
    level = xr.DataArray([1.0, 0.8, 0.4, 0.7, 0.1], {"step": [7, 9, 13, 20, 30]}, ("step",))
    assert forgetting.curves(level)["half_life"].item() == pytest.approx(2 + 4 * 0.75)


def test_the_mean_over_the_gap_is_the_area_below_the_curve():
    steps = np.arange(201)
    found = forgetting.curves(curve(30, 0.0, steps=steps), within=30)
    assert found["mean_kept"].item() == pytest.approx(0.5 / np.log(2), rel=1e-3)
    straight = xr.DataArray([1.0, 0.75, 0.5, 0.0], {"step": [0, 25, 50, 100]}, ("step",))
    assert forgetting.curves(straight)["mean_kept"].item() == pytest.approx(0.5)
    assert forgetting.curves(straight, within=10)["mean_kept"].item() == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("half", "stays", "asymptote"),
    [(2000, 0.0, np.nan), (20, 1.0, 1.0), (600, 0.3, np.nan), (20, 0.97, 0.97)],
)
def test_what_lasts_longer_than_was_measured_is_a_lower_bound(half, stays, asymptote):
    found = forgetting.curves(curve(half, stays))
    assert (found["fading"].item(), found["fading_censored"].item()) == (200, True)
    assert found["asymptote"].item() == pytest.approx(asymptote, abs=0.01, nan_ok=True)
    assert (found["half_life"].item(), found["censored"].item()) == (200, True)


def test_curves_that_say_nothing_are_named():
    both = xr.concat([curve(20, 0), curve(20, 0, start=0.04), curve(20, 0)], "size").copy()
    both[2, 3] = np.nan
    found = forgetting.curves(both)
    assert found["reason"].values.tolist() == ["", forgetting.NOTHING, forgetting.MISSING]
    for name in ("half_life", "mean_kept", "fading", "asymptote"):
        assert np.isfinite(found[name]).values.tolist() == [True, False, False]
    assert not found["censored"].any() and not found["fading_censored"].any()


def test_few_states_and_means_beyond_them_are_refused():
    with pytest.raises(ValueError, match="at least 4 states"):
        forgetting.curves(curve(20, 0).isel(step=slice(3)))
    with pytest.raises(ValueError, match="up to 200 steps, got 300"):
        forgetting.curves(curve(20, 0), within=300)


def measured(lives, horizon=np.inf):
    """Half-lives of units, known up to a horizon."""
    lives = np.asarray(lives, float)
    return xr.Dataset(
        {
            "half_life": ("stream", np.minimum(lives, horizon)),
            "censored": ("stream", lives > horizon),
        }
    )


def test_ratios_are_paired_and_on_log2():
    small = np.array([10.0, 20, 40, 80])
    found = forgetting.compare(measured(small), measured(4 * small))
    assert (found.estimate, found.censored) == (pytest.approx(2), 0)
    assert found.high - found.low < 1e-9  # however much units differ


def test_censored_units_are_counted_and_not_dropped():
    """Eight units whose ratio is 4; the three longest of the large size are beyond 200 steps."""
    small = np.array([10.0, 12, 15, 20, 30, 60, 70, 80])
    found = forgetting.compare(measured(small, 200), measured(4 * small, 200))
    assert (found.units, found.censored) == (8, 3)
    assert found.low > 1.5 and found.high == np.inf
    few = forgetting.compare(measured(small[:5], 100), measured(4 * small[:5], 100))
    assert (few.censored, few.low, few.high) == (1, -np.inf, np.inf)
    both = forgetting.compare(measured(small, 5), measured(4 * small, 5))
    assert (both.censored, both.low, both.high) == (8, -np.inf, np.inf)
    single = forgetting.life_interval(measured(small, 5))
    assert (single.low, single.high, single.censored) == (0, np.inf, 8)
    assert single.estimate == pytest.approx(5)


def test_a_peak_in_the_last_state_is_a_bound_of_no_steps():
    none, some = measured([0.5] * 7 + [9], 0), measured([4.0] * 7 + [9])
    none["half_life"][7], none["censored"][7] = 9, False
    found = forgetting.life_interval(none)
    assert (found.estimate, found.low, found.high, found.censored) == (0, 0, np.inf, 7)
    assert forgetting.compare(none, some).high > 20
    assert forgetting.compare(some, none).low < -20
    assert forgetting.compare(none, none).units == 8


def test_a_missing_unit_is_missing_and_not_censored():
    small, large = np.array([10.0, np.nan, 15, 20]), np.array([40.0, 48, 60, 70])
    found = forgetting.compare(measured(small, 65), measured(large, 65))
    assert (found.units, found.missing, found.censored) == (3, 1, 1)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_censoring_does_not_make_ratios_err_more_often(ratio):
    """Lognormal half-lives, a third beyond the horizon: 95% of 400 intervals hold the ratio."""
    rng = np.random.default_rng(0)
    inside = lower = 0
    for _ in range(400):
        logs = 5 + rng.normal(0, 0.7, 8)
        other = logs + ratio + rng.normal(0, 0.5, 8)
        small, large = (measured(2.0**each, 2.0**5.6) for each in (logs, other))
        found = forgetting.compare(small, large)
        inside += found.low <= ratio <= found.high
        lower += forgetting.life_interval(small).low <= 2.0**5
    assert inside >= 0.93 * 400 and lower >= 0.93 * 400


def lives(*rows, censored):
    """Cycles of three streams [stream, cycle]."""
    dims = ("stream", "cycle")
    return xr.Dataset(
        {"half_life": (dims, np.array(rows, float)), "censored": (dims, np.array(censored))}
    )


def test_a_half_life_is_the_median_of_its_cycles_and_has_an_interval():
    found = forgetting.of_cycles(
        lives([1, 2, 9], [3, 4, 8], [5, 6, np.nan], censored=np.eye(3, dtype=bool)[[2, 2, 2]])
    )
    assert found["half_life"].values.tolist() == [2, 4, 5.5]
    assert not found["censored"].any()
    interval = forgetting.life_interval(found)
    assert interval.estimate == pytest.approx((2 * 4 * 5.5) ** (1 / 3))
    assert interval.low < 2 and 5.5 < interval.high < np.inf


def test_a_lower_bound_is_not_taken_for_a_half_life():
    """Two of five are longer than 3 and 4 steps, so that the middle one is 10."""
    rows = lives([5, 6, 10, 3, 4], censored=[[False, False, False, True, True]])
    found = forgetting.of_cycles(rows)
    assert (found["half_life"].item(), found["censored"].item()) == (10, False)


def test_a_half_life_beyond_the_gap_is_a_lower_bound():
    rows = lives([9, 2, 9], [3, 4, 8], censored=[[True, False, True], [False, False, False]])
    found = forgetting.of_cycles(rows)
    assert found["half_life"].values.tolist() == [9, 4]
    assert found["censored"].values.tolist() == [True, False]
    interval = forgetting.life_interval(found)
    assert (interval.estimate, interval.high) == (pytest.approx(6), np.inf)
    assert interval.censored == 1 and interval.low < 4
    one = forgetting.of_cycles(rows, xr.DataArray([False, True, False], dims="cycle"))
    assert one["half_life"].values.tolist() == [2, 4]
    assert not one["censored"].any()
