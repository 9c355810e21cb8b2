"""Retention on saw-teeth of known gain, lag and half-life, and against a plain loop."""

import made_exposures
import made_injection
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.evidence import forgetting, retention

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


def cycles(value, gap, **options):
    """Cycles of a value under bursts, in every stream at the same steps."""
    shown = made_exposures.burst(gap, int(value["step"][-1]))
    return retention.cycles(value, shown, **options)


def test_saw_tooth_gives_back_what_it_was_made_of():
    value, kept = saw_tooth(np.arange(GAP * (CYCLES + 1)))
    found = cycles(value, GAP)
    assert found["exposure"].values.tolist() == list(range(CYCLES))
    assert found["start"].values.tolist() == [GAP * (c + 1) - 1 for c in range(CYCLES)]
    each = np.ones(CYCLES)
    np.testing.assert_allclose(found["gain"], np.outer(GAIN, each))
    np.testing.assert_allclose(found["lag"], np.outer(LAG, each))
    np.testing.assert_allclose(found["decay"], np.outer(GAIN - kept, each))
    np.testing.assert_allclose(found["before"], np.outer(kept, np.arange(CYCLES)), atol=1e-12)
    np.testing.assert_allclose(found["best"], found["before"] + found["gain"])
    np.testing.assert_allclose(found["accumulation"], CYCLES * kept)


def test_half_life_is_censored_where_the_next_exposure_comes_first():
    value, _ = saw_tooth(np.arange(GAP * (CYCLES + 1)))
    found = cycles(value, GAP)
    np.testing.assert_allclose(found["half_life"].sel(size=8), HALF_LIFE[0])
    assert not found["censored"].sel(size=8).any()
    assert found["censored"].sel(size=64).all()
    np.testing.assert_allclose(found["half_life"].sel(size=64), GAP - 1 - LAG[1])


def test_few_states_of_few_cycles_are_enough():
    """Log-spaced states of two cycles among regular ones: the same gains, half-lives nearly."""
    offsets = np.array([-1, 0, 1, 2, 3, 5, 8, 12, 18, 25, 40, 63])
    dense = [(c + 1) * GAP + offsets for c in (1, 4)]
    steps = np.unique(np.concatenate([*dense, np.arange(0, GAP * 6, 50)]))
    value, _ = saw_tooth(steps)
    found = cycles(value, GAP)
    assert found["exposure"].values.tolist() == [1, 4]
    np.testing.assert_allclose(found["gain"], np.outer(GAIN, [1, 1]))
    np.testing.assert_allclose(found["lag"], np.outer(LAG, [1, 1]))
    np.testing.assert_allclose(found["half_life"].sel(size=8), HALF_LIFE[0], rtol=0.06)


def test_a_loss_is_followed_as_it_falls():
    value, _ = saw_tooth(np.arange(GAP * 3))
    rising = cycles(value, GAP)
    falling = cycles(2 - value, GAP, rises=False)
    for name in ("gain", "lag", "decay", "half_life", "censored", "accumulation"):
        np.testing.assert_allclose(falling[name], rising[name], atol=1e-12)
    for name in ("before", "best", "next_before"):
        np.testing.assert_allclose(falling[name], 2 - rising[name])


def test_small_gains_are_none():
    value, _ = saw_tooth(np.arange(GAP * 3))
    found = cycles(value, GAP, least_gain=0.25)
    for name in ("lag", "half_life"):
        assert found[name].sel(size=8).notnull().all()
        assert found[name].sel(size=64).isnull().all()
    assert not found["censored"].sel(size=64).any()
    np.testing.assert_allclose(found["gain"].sel(size=64), GAIN[1])


def test_a_task_that_only_falls_gains_nothing():
    value = xr.DataArray(-np.arange(32.0), {"step": np.arange(32)}, ("step",))
    found = cycles(value, 8)
    assert (found["gain"] == -1).all()
    assert found[["lag", "half_life"]].to_array().isnull().all()


def test_a_missing_student_stays_missing_and_a_missing_state_spoils_its_cycle():
    value, _ = saw_tooth(np.arange(GAP * 3))
    value = value.expand_dims(stream=3).copy()
    value[1] = np.nan
    value[2, 0, GAP + 30] = np.nan
    found = cycles(value, GAP)
    for name in ("gain", "decay", "lag", "half_life"):
        assert found[name].isel(stream=0).notnull().all()
        assert found[name].isel(stream=1).isnull().all()
        assert found[name].isel(stream=2, size=0).isnull().values.tolist() == [True, False]
    assert not found["censored"].isel(stream=1).any()


def test_the_gain_per_row_is_the_sum_of_gains_over_that_of_rows():
    """Gains of 1 by 8 rows and of 3 by 2: 4 of 10, and not the mean of 1/8 and 3/2."""
    value = xr.DataArray([0, 1, 0.5, 3.5, 1.5], {"step": [1, 2, 3, 4, 5]}, ("step",))
    found, rows = cycles(value, 2), xr.DataArray([8.0, 2.0], dims="cycle")
    every = found["exposure"].notnull()
    assert float(retention.gain_per_row(found, rows, every)) == pytest.approx(4 / 10)
    low = found["before"] < 0.2
    assert float(retention.gain_per_row(found, rows, low)) == pytest.approx(1 / 8)
    assert np.isnan(retention.gain_per_row(found, rows, ~every))
    lost = found.assign(gain=found["gain"].where(low))
    assert np.isnan(retention.gain_per_row(lost, rows, every))


def test_cycles_before_any_size_has_learned_are_the_same_for_all():
    before = xr.DataArray([[0.1, 0.2, 0.3], [0.1, 0.6, 0.2]], dims=("size", "cycle"))
    found = xr.Dataset({"before": before, "exposure": ("cycle", [0, 1, 2])})
    assert retention.before_any(found).values.tolist() == [True, False, False]


def test_the_level_is_that_of_the_answer_where_it_was_measured():
    """The loss of a model that does not know the labels says little of the answer."""
    loss, answer = np.full((3, 2), 6.0), np.array([[np.nan, 0.1], [np.nan, 0.4], [np.nan, 0.9]])
    point = xr.Dataset(
        {"loss": (("step", "task"), loss), "chance": ("task", [np.nan, 0.5])},
        {"step": [0, 1, 2], "task": ["text", "order"], "watch": ["order"]},
    )
    np.testing.assert_array_equal(retention.level(point), retention.learned(point))
    measured = point.assign(answer=(("step", "task"), answer))
    np.testing.assert_allclose(retention.level(measured), [0.1, 0.4, 0.9])
    unknown = point.assign(answer=(("step", "task"), answer * np.nan))
    np.testing.assert_array_equal(retention.level(unknown), retention.learned(point))


def test_coordinates_and_units_are_kept():
    value, _ = saw_tooth(np.arange(GAP * 3))
    value = value.assign_coords(gap=GAP).assign_attrs(units="share")
    found = cycles(value, GAP)
    assert found["size"].values.tolist() == [8, 64]
    assert int(found["gap"]) == GAP
    assert found["gain"].attrs["units"] == "share"
    assert found["lag"].attrs["units"] == "steps"
    assert "step" not in found.coords


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_series_as_a_plain_loop_measures_it(data):
    gap = data.draw(st.integers(2, 6))
    length = data.draw(st.integers(3 * gap, 5 * gap))
    numbers = st.integers(-4, 4).map(float)
    values = data.draw(st.lists(numbers, min_size=length, max_size=length))
    found = cycles(xr.DataArray(values, {"step": range(length)}, ("step",)), gap)
    for i, c in enumerate(found["exposure"].astype(int).values.tolist()):
        before, inside = values[(c + 1) * gap - 1], values[(c + 1) * gap : (c + 2) * gap]
        gain = max(inside) - before
        assert found["gain"][i] == gain
        assert found["decay"][i] == max(inside) - inside[-1]
        if gain <= 0:
            assert found[["lag", "half_life"]].isel(cycle=i).to_array().isnull().all()
            continue
        lag = inside.index(max(inside))
        assert found["lag"][i] == lag
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


def test_states_must_make_a_whole_cycle():
    value = xr.DataArray(np.arange(3.0), {"step": [7, 8, 14]}, ("step",))
    with pytest.raises(ValueError, match="no whole cycle between exposures"):
        cycles(value, 8)


def planted(shown, total, gain=0.3, kept=0.5, lag=2):
    """A value that gains at each exposure and loses all but a share at the next one."""
    value, steps, level = np.zeros(total + 1), np.arange(total + 1), 0.0
    for start, end in zip(shown, [*shown[1:], total + 1], strict=True):
        since = steps[(steps > start) & (steps <= end)] - start - 1
        fall = gain - gain * (1 - kept) * (since - lag) / max(end - start - 1 - lag, 1)
        value[(steps > start) & (steps <= end)] = level + np.where(
            since <= lag, gain * (since + 1) / (lag + 1), fall
        )
        level += gain * kept
    return value


def sparse(value, shown, chosen, per_stream):
    """A stream measured around some exposures of its own and at every `per_stream`-th step."""
    steps = np.arange(len(value))
    seen = steps % per_stream == 0
    for i in chosen:
        length = shown[i + 1] - shown[i]
        offsets = {0, *(1 + int(2 ** (j / 2)) for j in range(20)), 1, length}
        seen[[shown[i] + offset for offset in offsets if offset <= length]] = True
    return np.where(seen, value, np.nan)


def test_streams_of_other_phases_give_what_aligned_ones_do():
    """As under `even`: the same cycles, begun 7 steps later in the second stream."""
    shown = [9 + 40 * i for i in range(6)]
    late = [step + 7 for step in shown]
    chosen, total = (0, 2, 4), 260
    rows = [sparse(planted(at, total), at, chosen, 50) for at in (shown, shown, late)]

    def value(*streams):
        return xr.DataArray(np.stack(streams), {"step": range(total + 1)}, ("stream", "step"))

    aligned = retention.cycles(value(rows[0], rows[1]), made_exposures.streams(shown, shown))
    shifted = retention.cycles(value(rows[0], rows[2]), made_exposures.streams(shown, late))
    assert shifted["exposure"].values.tolist() == [[0, 2, 4]] * 2
    assert (shifted["start"].diff("stream") == 7).all()
    for name in aligned.drop_vars(["start", "exposure"]):
        np.testing.assert_allclose(shifted[name], aligned[name], atol=1e-12, err_msg=name)
    assert retention.whole(shifted).values.tolist() == [True, True]
    one, other = (
        retention.through_cycles(value(*streams), made_exposures.streams(*at))
        for streams, at in (
            ((rows[0], rows[1]), (shown, shown)),
            ((rows[0], rows[2]), (shown, late)),
        )
    )
    assert set(other["offset"].values.tolist()) <= set(one["offset"].values.tolist())
    assert {0, 1, 2, 3, 40} <= set(other["offset"].values.tolist())
    np.testing.assert_allclose(other, one.sel(offset=other["offset"]), atol=1e-12)


def test_streams_of_drawn_exposures_have_cycles_of_their_own():
    """As under `iid`: other numbers, lengths and counts of cycles; none of it is missing."""
    shown = ([4, 30, 38, 90, 120], [11, 50, 70])
    rows = [planted(at, 130, kept=kept) for at, kept in zip(shown, (0.5, 0.25), strict=True)]
    value = xr.DataArray(np.stack(rows), {"step": range(131)}, ("stream", "step"))
    found = retention.cycles(value, made_exposures.streams(*shown))
    nan = np.nan
    np.testing.assert_array_equal(found["exposure"], [[0, 1, 2, 3], [0, 1, nan, nan]])
    np.testing.assert_array_equal(found["start"], [[4, 30, 38, 90], [11, 50, nan, nan]])
    np.testing.assert_allclose(found["gain"], [[0.3] * 4, [0.3, 0.3, nan, nan]])
    assert retention.whole(found).all()
    assert not retention.not_yet(found).isel(stream=1, cycle=[2, 3]).any()
    rows = xr.where(found["exposure"].notnull(), 2.0, np.nan)
    early = retention.not_yet(found)
    np.testing.assert_allclose(retention.gain_per_row(found, rows, early), 0.15)
    np.testing.assert_allclose(found["accumulation"], [4 * 0.15, 2 * 0.075])

    broken = value.expand_dims(size=2).copy()
    broken[0, 1, 60] = nan  # inside the second cycle of the second stream
    lost = retention.cycles(broken, made_exposures.streams(*shown))
    assert retention.whole(lost).values.tolist() == [True, False]
    gone = value.copy()
    gone[1] = nan
    one = retention.cycles(gone, made_exposures.streams(*shown))
    assert retention.whole(one).values.tolist() == [True, False]
    assert one.sizes["cycle"] == 4 and one["gain"].isel(stream=1).isnull().all()
    assert np.isnan(one["accumulation"][1])


def test_means_through_cycles_are_over_those_that_last_so_long():
    """Of 3 and of 6 steps; a student that misses a state is missing there."""
    value = xr.DataArray(np.arange(10.0) ** 2, {"step": range(10)}, ("step",))
    each = retention.through_cycles(value, xr.DataArray([0.0, 3, 9], dims="exposure"))
    assert each["offset"].values.tolist() == list(range(7))
    assert each["length"].values.tolist() == [3, 6]
    mean = retention.mean_cycle(each)
    assert mean.values.tolist() == [4.5, 8.5, 14.5, 22.5, 49, 64, 81]
    two = value.expand_dims(size=2).copy()
    two[0, 5] = np.nan
    mean = retention.mean_cycle(
        retention.through_cycles(two, xr.DataArray([0.0, 3, 9], dims="exposure"))
    )
    assert mean.isnull().values.tolist() == [[i == 2 for i in range(7)], [False] * 7]


def test_one_cycle_can_be_picked_in_each_stream():
    """The second, or the last of a stream that has no second."""
    shown = made_exposures.streams([0, 4, 8, 12], [1, 5])
    value = xr.DataArray(np.tile(np.arange(13.0), (2, 1)), {"step": range(13)}, ("stream", "step"))
    found = retention.through_cycles(value, shown, nth=1)
    assert found["start"].values.tolist() == [[4], [1]]
    assert found.isel(cycle=0).values.tolist() == [[4, 5, 6, 7, 8], [1, 2, 3, 4, 5]]


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
    found = cycles(retention.learned(point), 100, least_gain=0.01)
    np.testing.assert_allclose(found["gain"], 0.02, rtol=0.12)
    assert (found["lag"] == made_injection.LAG).all()
    lives = forgetting.of_cycles(found)["half_life"].mean(("stream", "initialisation"))
    np.testing.assert_allclose(lives, [5, 10, 20], rtol=0.1)


def test_values_through_cycles_stand_at_the_offsets_that_all_have():
    steps = [0, 7, 8, 9, 12, 15, 16, 17, 20, 22, 23, 40]
    value = xr.DataArray(np.array(steps) ** 2.0, {"step": steps}, ("step",))
    found = retention.through_cycles(value, made_exposures.burst(8, 40))
    assert found["start"].values.tolist() == [7, 15]
    assert found["offset"].values.tolist() == [0, 1, 2, 5, 8]
    expected = [[step**2 for step in (7, 8, 9, 12, 15)], [s**2 for s in (15, 16, 17, 20, 23)]]
    assert found.values.tolist() == expected


def test_sparse_cycles_do_not_thin_the_others_out():
    steps = [7, 8, 9, 10, 11, 12, 15, 39, 40, 47]
    value = xr.DataArray(np.zeros(10), {"step": steps}, ("step",))
    shown = made_exposures.burst(8, 47)
    assert retention.through_cycles(value, shown)["start"].values.tolist() == [7]
    assert cycles(value, 8)["exposure"].values.tolist() == [0]
    assert retention.through_cycles(value.sel(step=[7, 9]), shown) is None
    assert retention.through_cycles(value, made_exposures.burst(1, 47)) is None


def test_cycles_count_until_the_task_is_learned_for_the_first_time():
    """One that starts low again afterwards does not, nor does one of an unknown start before."""
    before = [[0.1, 0.4, 0.3], [0.1, 0.6, 0.3], [0.5, 0.2, np.nan]]
    found = retention.not_yet(
        xr.Dataset({"before": (("size", "cycle"), before), "exposure": ("cycle", [0, 1, 2])})
    )
    assert found.values.tolist() == [[True] * 3, [True, False, False], [False] * 3]
