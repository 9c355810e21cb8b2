"""Retention on saw-teeth of known gain, lag and half-life, and against a plain loop."""

import made_injection
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.evidence import retention

GAP, CYCLES = 64, 5
GAIN = np.array([0.3, 0.2])
LAG = np.array([3, 18])
HALF_LIFE = np.array([10.0, 2000.0])


def saw_tooth(steps):
    """Two students [width, step]: linear rise of GAIN in LAG steps, then exponential decay.

    The excess over the value before the exposure halves in every HALF_LIFE steps; what is left at
    the next exposure is what that one starts from.
    """
    value = np.zeros((2, len(steps)))
    kept = GAIN * 2.0 ** (-(GAP - 1 - LAG) / HALF_LIFE)
    for w in range(2):
        for i, step in enumerate(steps):
            cycle, offset = divmod(step, GAP)
            # State cycle * GAP is just after exposure cycle - 1, with one unit of rise behind it.
            if cycle == 0:
                continue
            rise = GAIN[w] * (offset + 1) / (LAG[w] + 1)
            fall = GAIN[w] * 2.0 ** (-(offset - LAG[w]) / HALF_LIFE[w])
            value[w, i] = (cycle - 1) * kept[w] + (rise if offset < LAG[w] else fall)
    return xr.DataArray(value, {"step": steps, "size": [8, 64]}, ("size", "step")), kept


def test_saw_tooth_gives_back_what_it_was_made_of():
    value, kept = saw_tooth(np.arange(GAP * (CYCLES + 1)))
    found = retention.cycles(value, GAP)
    assert found["cycle"].values.tolist() == list(range(CYCLES))
    each = np.ones(CYCLES)
    np.testing.assert_allclose(found["gain"], np.outer(GAIN, each))
    np.testing.assert_allclose(found["lag"], np.outer(LAG, each))
    np.testing.assert_allclose(found["decay"], np.outer(GAIN - kept, each))
    np.testing.assert_allclose(found["share_kept"], np.outer(kept / GAIN, each))
    np.testing.assert_allclose(found["before"], np.outer(kept, np.arange(CYCLES)), atol=1e-12)
    np.testing.assert_allclose(found["best"], found["before"] + found["gain"])
    np.testing.assert_allclose(found["accumulation"], CYCLES * kept)
    np.testing.assert_allclose(retention.share_kept(found), kept / GAIN)


def test_half_life_is_censored_where_the_next_exposure_comes_first():
    value, _ = saw_tooth(np.arange(GAP * (CYCLES + 1)))
    found = retention.cycles(value, GAP)
    np.testing.assert_allclose(found["half_life"].sel(size=8), HALF_LIFE[0])
    assert not found["censored"].sel(size=8).any()
    assert found["censored"].sel(size=64).all()
    np.testing.assert_allclose(found["half_life"].sel(size=64), GAP - 1 - LAG[1])


def test_few_states_of_few_cycles_are_enough():
    """Log-spaced states of two cycles among regular ones: the same gains, half-lives nearly."""
    offsets = np.array([-1, 0, 1, 2, 3, 5, 8, 12, 18, 25, 40, 63])
    dense = [(c + 1) * GAP + offsets for c in (1, 4)]
    steps = np.unique(np.concatenate([*dense, np.arange(0, GAP * 6, 50)]))
    value, kept = saw_tooth(steps)
    found = retention.cycles(value, GAP)
    assert found["cycle"].values.tolist() == [1, 4]
    np.testing.assert_allclose(found["gain"], np.outer(GAIN, [1, 1]))
    np.testing.assert_allclose(found["lag"], np.outer(LAG, [1, 1]))
    np.testing.assert_allclose(found["share_kept"], np.outer(kept / GAIN, [1, 1]))
    np.testing.assert_allclose(found["half_life"].sel(size=8), HALF_LIFE[0], rtol=0.06)


def test_a_loss_is_followed_as_it_falls():
    value, _ = saw_tooth(np.arange(GAP * 3))
    rising = retention.cycles(value, GAP)
    falling = retention.cycles(2 - value, GAP, rises=False)
    for name in ("gain", "lag", "decay", "share_kept", "half_life", "censored", "accumulation"):
        np.testing.assert_allclose(falling[name], rising[name], atol=1e-12)
    for name in ("before", "best", "next_before"):
        np.testing.assert_allclose(falling[name], 2 - rising[name])


def test_small_gains_are_none():
    value, _ = saw_tooth(np.arange(GAP * 3))
    found = retention.cycles(value, GAP, least_gain=0.25)
    for name in ("lag", "share_kept", "half_life"):
        assert found[name].sel(size=8).notnull().all()
        assert found[name].sel(size=64).isnull().all()
    assert not found["censored"].sel(size=64).any()
    np.testing.assert_allclose(found["gain"].sel(size=64), GAIN[1])
    assert np.isnan(retention.share_kept(found).sel(size=64))


def test_a_task_that_only_falls_gains_nothing():
    value = xr.DataArray(-np.arange(32.0), {"step": np.arange(32)}, ("step",))
    found = retention.cycles(value, 8)
    assert (found["gain"] == -1).all()
    assert found[["lag", "share_kept", "half_life"]].to_array().isnull().all()


def test_a_missing_student_stays_missing_and_a_missing_state_spoils_its_cycle():
    value, _ = saw_tooth(np.arange(GAP * 3))
    value = value.expand_dims(stream=3).copy()
    value[1] = np.nan
    value[2, 0, GAP + 30] = np.nan
    found = retention.cycles(value, GAP)
    for name in ("gain", "decay", "share_kept", "lag", "half_life"):
        assert found[name].isel(stream=0).notnull().all()
        assert found[name].isel(stream=1).isnull().all()
        assert found[name].isel(stream=2, size=0).isnull().values.tolist() == [True, False]
    assert not found["censored"].isel(stream=1).any()


def test_share_kept_is_the_rise_over_the_gains():
    """Gains of 1 (half kept) and of 3 (a third kept): 1.5 of 4."""
    value = xr.DataArray([0, 1, 0.5, 3.5, 1.5], {"step": [1, 2, 3, 4, 5]}, ("step",))
    found = retention.cycles(value, 2)
    assert found["share_kept"].values.tolist() == pytest.approx([1 / 2, 1 / 3])
    assert float(retention.share_kept(found)) == pytest.approx(1.5 / 4)
    assert float(retention.share_kept(found, found["before"] < 0.2)) == pytest.approx(1 / 2)
    assert float(retention.mean_gain(found, found["before"] < 9)) == 2


def test_cycles_between_the_measured_ones_rise_as_they_do():
    """Every third cycle measured: what the others keep stands in the levels."""
    value, kept = saw_tooth(np.arange(GAP * (CYCLES + 1)))
    numbers = (value["step"] + 1) // GAP - 1
    inside = (numbers % 3 == 0) | ((value["step"] + 1) % (3 * GAP) == 2 * GAP)
    found = retention.cycles(value.where(inside), GAP)
    assert 1 < found.sizes["cycle"] < CYCLES
    np.testing.assert_allclose(retention.share_kept(found), kept / GAIN)


def test_noise_in_the_start_of_cycles_is_not_taken_for_keeping():
    """Levels that only fluctuate: a low start goes with a large gain and a better end."""
    rng = np.random.default_rng(0)
    starts = 0.1 * rng.standard_normal((200, 301))
    value = np.stack([starts, 0.2 + 0 * starts], -1).reshape(200, -1)[:, :-1]
    value = xr.DataArray(value, {"step": np.arange(1, 602)}, ("stream", "step"))
    found = retention.cycles(value, 2)
    each = found["share_kept"].mean()
    large = found["share_kept"].where(found["gain"] > 0.3).mean()
    assert abs(retention.share_kept(found).mean()) < 0.002 < 0.3 < large - each


def test_coordinates_and_units_are_kept():
    value, _ = saw_tooth(np.arange(GAP * 3))
    value = value.assign_coords(gap=GAP).assign_attrs(units="share")
    found = retention.cycles(value, GAP)
    assert found["size"].values.tolist() == [8, 64]
    assert int(found["gap"]) == GAP
    assert found["gain"].attrs["units"] == "share"
    assert found["lag"].attrs["units"] == "steps"
    assert found["share_kept"].attrs["units"] == "1"
    assert "step" not in found.coords


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_series_as_a_plain_loop_measures_it(data):
    gap = data.draw(st.integers(2, 6))
    length = data.draw(st.integers(3 * gap, 5 * gap))
    numbers = st.integers(-4, 4).map(float)
    values = data.draw(st.lists(numbers, min_size=length, max_size=length))
    found = retention.cycles(xr.DataArray(values, {"step": range(length)}, ("step",)), gap)
    for i, c in enumerate(found["cycle"].values.tolist()):
        before, inside = values[(c + 1) * gap - 1], values[(c + 1) * gap : (c + 2) * gap]
        gain = max(inside) - before
        assert found["gain"][i] == gain
        assert found["decay"][i] == max(inside) - inside[-1]
        if gain <= 0:
            assert found[["lag", "share_kept", "half_life"]].isel(cycle=i).to_array().isnull().all()
            continue
        lag = inside.index(max(inside))
        assert found["lag"][i] == lag
        assert found["share_kept"][i] == (inside[-1] - before) / gain
        lost = any(v <= before + gain / 2 for v in inside[lag:])
        assert bool(found["censored"][i]) is not lost
        if not lost:
            assert found["half_life"][i] == gap - 1 - lag
        else:
            half_life = float(found["half_life"][i])
            assert _at(inside, lag + half_life) == pytest.approx(before + gain / 2)
            walked = inside[lag : lag + int(np.ceil(half_life))]
            assert min(walked) > before + gain / 2


def _at(inside, offset):
    return float(np.interp(offset, np.arange(len(inside)), inside))


@pytest.mark.parametrize("gap", [0, 1])
def test_cycles_need_an_inside(gap):
    with pytest.raises(ValueError, match="at least 2"):
        retention.measured_cycles([0, 1, 2], gap)


def test_states_must_make_a_whole_cycle():
    value = xr.DataArray(np.arange(3.0), {"step": [7, 8, 14]}, ("step",))
    with pytest.raises(ValueError, match="no whole cycle of gap 8"):
        retention.cycles(value, 8)
    assert retention.measured_cycles([7, 8, 15], 8).tolist() == [0]
    assert retention.measured_cycles([7, 15, 16, 23], 8).tolist() == [1]


def test_what_is_learned_is_the_rarest_watched_signal():
    values = np.arange(12.0).reshape(3, 4)
    names = {"task": ["a", "b", "c", "d"], "watch": ["b", "c"]}
    point = xr.Dataset({"signal": (("step", "task"), values)}, names)
    assert retention.learned(point.assign_coords(step=[0, 1, 2])).values.tolist() == [2, 6, 10]


def test_or_what_is_gained_on_guessing():
    """Of guessing among two labels; below 0 are labels that are not known to be labels."""
    guess = np.log(2)
    loss = np.array([[9, 10.0], [9, guess], [9, 0.25 * guess], [9, 1.5 * guess]])
    point = xr.Dataset(
        {"loss": (("step", "task"), loss), "chance": ("task", [np.nan, 0.5])},
        {"step": [0, 1, 2, 3], "task": ["text", "order"], "watch": ["order"]},
    )
    np.testing.assert_allclose(retention.learned(point), [1 - 10 / guess, 0, 0.75, -0.5])


def test_planted_gains_of_an_injected_task_are_found():
    point = made_injection.study(gain=(0.02, 0.02, 0.02), half_life=(5, 10, 20)).sel(gap=100)
    found = retention.cycles(retention.learned(point), 100, least_gain=0.01)
    np.testing.assert_allclose(found["gain"], 0.02, rtol=0.12)
    assert (found["lag"] == made_injection.LAG).all()
    lives = retention.half_life(found)["half_life"].mean(("stream", "initialisation"))
    np.testing.assert_allclose(lives, [5, 10, 20], rtol=0.1)


def test_values_through_cycles_stand_at_the_offsets_that_all_have():
    steps = [0, 7, 8, 9, 12, 15, 16, 17, 20, 22, 23, 40]
    value = xr.DataArray(np.array(steps) ** 2.0, {"step": steps}, ("step",))
    found = retention.through_cycles(value, 8)
    assert found["cycle"].values.tolist() == [0, 1]
    assert found["offset"].values.tolist() == [0, 1, 2, 5, 8]
    expected = [[step**2 for step in (7, 8, 9, 12, 15)], [s**2 for s in (15, 16, 17, 20, 23)]]
    assert found.values.tolist() == expected
    assert retention.in_second_half(found["cycle"], 8, 30).values.tolist() == [False, True]
    assert retention.in_second_half(found["cycle"], 8, 31).values.tolist() == [False, False]


def test_sparse_cycles_do_not_thin_the_others_out():
    steps = [7, 8, 9, 10, 11, 12, 15, 39, 40, 47]
    value = xr.DataArray(np.zeros(10), {"step": steps}, ("step",))
    assert retention.through_cycles(value, 8)["cycle"].values.tolist() == [0]
    assert retention.cycles(value, 8)["cycle"].values.tolist() == [0]
    assert retention.through_cycles(value.sel(step=[7, 9]), 8) is None
    assert retention.through_cycles(value, 1) is None


def test_cycles_count_until_the_task_is_learned_for_the_first_time():
    """One that starts low again afterwards does not, nor does one of an unknown start before."""
    before = [[0.1, 0.4, 0.3], [0.1, 0.6, 0.3], [0.5, 0.2, np.nan]]
    found = retention.not_yet(xr.Dataset({"before": (("size", "cycle"), before)}))
    assert found.values.tolist() == [[True] * 3, [True, False, False], [False] * 3]


def lives(*rows, censored):
    """Cycles of three streams [stream, cycle]."""
    dims = ("stream", "cycle")
    return xr.Dataset(
        {"half_life": (dims, np.array(rows, float)), "censored": (dims, np.array(censored))}
    )


def test_a_half_life_is_the_median_of_its_cycles_and_has_an_interval():
    found = retention.half_life(
        lives([1, 2, 9], [3, 4, 8], [5, 6, np.nan], censored=np.eye(3, dtype=bool)[[2, 2, 2]])
    )
    assert found["half_life"].values.tolist() == [2, 4, 5.5]
    assert not found["censored"].any()
    interval = retention.half_life_interval(found)
    assert interval.estimate == pytest.approx(11.5 / 3)
    assert interval.low < 2.1 and 5.5 < interval.high < np.inf


def test_a_lower_bound_is_not_taken_for_a_half_life():
    """Two of five are longer than 3 and 4 steps, so that the middle one is 10."""
    rows = lives([5, 6, 10, 3, 4], censored=[[False, False, False, True, True]])
    found = retention.half_life(rows)
    assert (found["half_life"].item(), found["censored"].item()) == (10, False)


def test_a_half_life_beyond_the_gap_is_a_lower_bound():
    rows = lives([9, 2, 9], [3, 4, 8], censored=[[True, False, True], [False, False, False]])
    found = retention.half_life(rows)
    assert found["half_life"].values.tolist() == [9, 4]
    assert found["censored"].values.tolist() == [True, False]
    interval = retention.half_life_interval(found)
    assert (interval.estimate, interval.high) == (6.5, np.inf)
    one = retention.half_life(rows, xr.DataArray([False, True, False], dims="cycle"))
    assert one["half_life"].values.tolist() == [2, 4]
    assert not one["censored"].any()
