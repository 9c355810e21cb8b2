"""Claims on withheld tasks: students that keep or lose as the paper says, and others."""

import made_exposures
import made_injection
import numpy as np
import pytest
import xarray as xr

from rare_retention.evidence import retention, states
from rare_retention.study.claims import judge

ALL = (
    "gap_lowers_rare_signal",
    "gap_costs_narrow_more",
    "frequent_signal_ignores_gap",
    "wide_accumulates",
    "peak_lags_exposure",
)
BY_GAP, BY_CYCLE = ALL[:3], ALL[3:]


LAG, EQUAL = "peak_lags_exposure", "all 2 units are equal: no spread to judge by"


def expected(name):
    """The planted lag is a whole number of steps, the same in every stream: no more is known."""
    return "inconclusive" if name == LAG else "holds"


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


@pytest.mark.parametrize("name", ALL)
def test_students_of_the_paper_hold(burst, name):
    verdict = one(burst(), name)
    assert verdict.verdict == expected(name), verdict
    assert (verdict.units, verdict.covers) == (2, "streams")
    assert verdict.note == (EQUAL if name == LAG else "")


def test_estimates_are_what_was_planted(burst):
    found = {name: one(burst(), name).estimate for name in ALL}
    assert found["peak_lags_exposure"] == 3
    rare = {16: (0.05 + 0.5) / 2, 64: (0.0125 + 0.25) / 2}
    assert found["gap_lowers_rare_signal"] == pytest.approx((rare[64] - rare[16]) / 2, abs=0.003)
    assert found["gap_costs_narrow_more"] == pytest.approx(1 - rare[64] / rare[16], abs=0.01)


@pytest.mark.parametrize("name", BY_CYCLE[:1] + BY_GAP[1:2])
def test_students_of_swapped_widths_fail(burst, students, name):
    narrow, _, wide = students
    verdict = one(burst((wide, wide, narrow)), name)
    assert verdict.verdict == "fails", verdict


def test_a_rare_signal_that_rises_with_the_gap_fails(burst, students):
    def growing(gap, cycle):
        return gap / 128, gap / 128 + 0.1

    assert one(burst((growing, growing, students[2])), "gap_lowers_rare_signal").verdict == "fails"


def test_a_gap_that_costs_under_adamw_alone(burst, students, under):
    """The narrowest holds 0.5 and 0.25 under AdamW, and by descent what the wide one does."""
    _, middle, wide = students
    adamw, descent = burst((middle, middle, wide)), burst((wide,) * 3)
    verdict = one(under(adamw=adamw, muon=adamw, sgd=descent), "gap_costs_adamw_more")
    assert verdict.verdict == "holds", verdict
    falls = [relative_fall(results) for results in (adamw, descent)]
    assert verdict.estimate == pytest.approx(falls[0] - falls[1], abs=1e-6)
    assert falls[0] == pytest.approx(0.5, abs=0.02)
    same = one(under(adamw=adamw, sgd=adamw), "gap_costs_adamw_more")
    assert (same.verdict, same.note) == ("inconclusive", EQUAL) and same.estimate == 0
    swapped = one(under(adamw=descent, sgd=adamw), "gap_costs_adamw_more")
    assert swapped.verdict == "fails" and swapped.estimate == pytest.approx(-verdict.estimate)


def relative_fall(results):
    """Mean over units, of the narrowest width, from signals just before the last exposure."""
    rare = results["signal"].isel(size=0, task=-1)
    held = {}
    for gap in (16, 64):
        own = rare.sel(gap=gap).dropna("step", how="all")
        exposed = results["exposure_step"].sel(gap=gap).isel(stream=0, watch=0).dropna("exposure")
        held[gap] = own.sel(step=own["step"][np.isin(own["step"], exposed)]).isel(step=-1)
    return float((1 - held[64] / held[16]).mean())


def test_arms_are_found_by_their_names(burst, under):
    for results in (burst(), under(adamw=burst(), descent=burst())):
        verdict = one(results, "gap_costs_adamw_more")
        assert verdict.verdict == "not tested"
        assert verdict.note.startswith("the study has no axis with the dimension 'optimizer' and")


def test_a_frequent_signal_that_falls_with_the_gap_fails(burst):
    verdict = one(burst(frequent=lambda gap: 1 - gap / 640), "frequent_signal_ignores_gap")
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(48 / 640, abs=0.01)


def test_one_width_whose_frequent_signal_falls_is_enough(burst):
    results = burst()
    signal = results["signal"].copy()
    signal[{"gap": 1, "size": 2, "task": 0}] -= 0.1
    verdict = one(results.assign(signal=signal), "frequent_signal_ignores_gap")
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("name", ALL)
def test_gaps_may_stand_in_any_order_and_sizes_have_any_names(burst, name):
    results = burst()
    mixed_up = results.isel(gap=[1, 0]).assign_coords(size=["z", "m", "a"])
    assert one(mixed_up, name).estimate == pytest.approx(one(results, name).estimate)


@pytest.mark.parametrize(("lag", "word"), [(0, "fails"), (3, "holds")])
def test_peaks_are_judged_where_lags_differ_between_streams(burst, lag, word):
    """Five streams peak at the exposure, or three steps later, and a sixth one step after that."""
    parts = [burst(lag=lag, streams=5), burst(lag=lag + 1, streams=1)]
    parts[1] = parts[1].assign_coords(stream=[5])
    verdict = one(xr.concat(parts, "stream", data_vars="minimal", join="outer"), LAG)
    assert verdict.verdict == word
    assert verdict.estimate == pytest.approx(lag + 1 / 6)


def test_final_signals_are_compared_at_the_same_phase(burst, students):
    """The last state of the run, just after an exposure, is high whatever was kept."""
    results = burst()
    final = results["signal"].isel(step=-1, task=-1)
    assert results["step"][-1] % 64 == 0
    assert (final.sel(size=8, gap=64) < 0.2).all()
    shifted = results.copy(deep=True)
    shifted["signal"][{"step": -1, "task": -1}] = 0.9
    for name in BY_GAP:
        assert one(shifted, name).estimate == one(results, name).estimate


@pytest.mark.parametrize("name", BY_GAP)
def test_a_single_gap_varies_nothing(burst, name):
    verdict = one(burst(gaps=(16,)), name)
    assert verdict.note == "fewer than two gaps have a finished run"
    alone = one(burst().isel(gap=0), name)
    assert alone.verdict == "not tested"
    assert alone.note == "the study does not vary the gap"


@pytest.mark.parametrize("name", BY_CYCLE)
def test_one_gap_is_enough_for_its_cycles(burst, name):
    assert one(burst().isel(gap=1), name).verdict == expected(name)


def in_phases(results, phase, lost=()):
    """One gap's results with everything later in the last stream, but for lost steps of it."""
    streams = [results.isel(stream=[i]) for i in range(results.sizes["stream"])]
    late = streams[-1].isel(step=~np.isin(results["step"], lost))
    late = late.assign_coords(step=late["step"] + phase)
    late = late.assign(exposure_step=late["exposure_step"] + phase)
    return xr.concat([*streams[:-1], late], "stream", data_vars="minimal", join="outer")


@pytest.mark.parametrize("name", BY_CYCLE)
def test_streams_of_other_phases_are_judged_as_aligned_ones_are(burst, name):
    """As under `even`: where exposures stand in a stream does not matter."""
    results = burst().isel(gap=1)
    found, aligned = one(in_phases(results, 5), name), one(results, name)
    assert aligned.units == 2 and aligned.verdict == expected(name)
    for part in ("verdict", "estimate", "low", "high", "units", "note"):
        assert str(getattr(found, part)) == str(getattr(aligned, part)), part


@pytest.mark.parametrize("name", BY_CYCLE)
def test_a_stream_of_fewer_cycles_is_not_missing(burst, name):
    """As under `iid`: the second cycle was hardly measured in the last stream."""
    results = in_phases(burst().isel(gap=1), 5, lost=range(129, 190))
    cycles = retention.learned_cycles(next(states.points(results)))
    assert cycles["exposure"].notnull().sum("cycle").values.tolist() == [4, 3]
    verdict = one(results, name)
    assert (verdict.verdict, verdict.units) == (expected(name), 2)


@pytest.mark.parametrize("name", BY_CYCLE)
def test_without_whole_cycles_there_is_nothing_to_judge(burst, mixed, name):
    """In every batch, or at every sixteenth step but hardly measured."""
    assert one(mixed(), name).note == "no whole cycle between exposures was measured"
    sparse = burst().isel(gap=0).sel(step=[0, 16, 1024])
    assert one(sparse, name).note == "no whole cycle between exposures was measured"
    unknown = burst().drop_vars("exposure_step")
    assert one(unknown, name).note == "the results hold no exposure_step"


def test_a_gap_of_one_is_a_control(burst):
    """Tasks shown at every step have no cycles, but their signal compares with withheld ones."""
    results = burst().isel(gap=[0, 0, 1]).assign_coords(gap=[1, 16, 64])
    results = made_exposures.with_bursts(results.drop_vars(["exposure_step", "exposure_count"]))
    assert one(results, "wide_accumulates").estimate == one(burst(), "wide_accumulates").estimate
    assert one(results, "gap_lowers_rare_signal").verdict == "holds"


def test_states_before_an_exposure_must_be_measured(burst):
    results = burst()
    kept = results["step"][results["step"] % 64 != 63]
    verdict = one(results.sel(step=kept), "gap_lowers_rare_signal")
    assert verdict.verdict == "not tested"
    assert "at gap 64 no state just before an exposure" in verdict.note


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("frequent_signal_ignores_gap",)])
def test_one_width_compares_nothing(burst, students, name):
    verdict = one(burst(students[:1]), name)
    if name == LAG:
        assert verdict.estimate == 3
    else:
        assert verdict.note == "the study has one size only"


def test_students_without_gains_cannot_lose_them(burst):
    def flat(gap, cycle):
        return 0.2, 0.2

    results = burst((flat, flat))
    verdict = one(results, "peak_lags_exposure")
    assert verdict.verdict == "not tested"
    assert verdict.note == "no student has all that the statistic needs"


@pytest.mark.parametrize("name", ["gap_lowers_rare_signal", "gap_costs_narrow_more"])
def test_students_that_hold_nothing_cannot_fall(burst, students, name):
    """A slope of -0.005 per doubling of the gap is below zero in every stream, and says nothing."""

    def nothing(gap, cycle):
        return 0.04 - gap / 6400, 0.3

    verdict = one(burst((nothing, students[2])), name)
    assert verdict.verdict == "not tested"
    assert verdict.note == "no student has all that the statistic needs"


def test_a_missing_run_takes_its_stream_with_it(burst):
    results = burst(streams=3)
    results["finished"][1, 0] = False
    for name in ALL:
        verdict = one(results, name)
        assert verdict.verdict == expected(name)
        assert (verdict.streams, verdict.units) == (2, 2)
        assert "1 of 6 runs have not finished" in verdict.note
        assert "2 of 6 statistics are missing" in verdict.note
    assert results["signal"].isel(stream=1, gap=0).notnull().any()
    assert np.isfinite(results["signal"].isel(stream=1, gap=1)).any()


@pytest.mark.parametrize("name", BY_CYCLE)
def test_injected_tasks_are_judged_by_their_loss(name):
    verdict = one(made_injection.study(), name)
    assert verdict.verdict == expected(name), verdict
    assert verdict.covers == "streams"


def test_sizes_that_build_up_alike_fail_by_their_loss():
    alike = made_injection.study((100,), gain=(0.1,) * 3, half_life=(10,) * 3)
    assert one(alike, "wide_accumulates").verdict == "fails"


def test_what_is_learned_below_guessing_builds_nothing_up():
    """Before the first injection no size knows the labels: that is gained, and kept, by all."""
    alike = made_injection.study((100,), gain=(0.1,) * 3, half_life=(10,) * 3)
    unknown = xr.DataArray([6.2, 6.4, 6.6], {"size": alike["size"]}, ("size",))
    early = (alike["step"] < 100) & (alike["task"] == "comparison") & alike["loss"].notnull()
    lower = alike.assign(loss=alike["loss"].where(~early, unknown).transpose(*alike["loss"].dims))
    found, known = one(lower, "wide_accumulates"), one(alike, "wide_accumulates")
    assert (found.verdict, found.estimate) == (known.verdict, pytest.approx(known.estimate))


def test_results_must_say_what_is_learned():
    results = made_injection.study().drop_vars("chance")
    for name in BY_CYCLE:
        assert one(results, name).note == "the results hold no chance"
