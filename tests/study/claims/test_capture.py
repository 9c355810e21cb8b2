"""Claims on captured shares: students that follow theory, and students that do not."""

import numpy as np
import pytest
import xarray as xr

from rare_retention.study.claims import judge
from rare_retention.theory import utility

ALL = (
    "staircase",
    "prediction",
    "rare_signal_right_of_line",
    "rare_signal_left_of_line",
    "above_capacity_unlearned",
    "above_capacity_flat",
)
NAMES_OF_COMPLEXITY = ("complexity_prediction", "complexity_inversion")
COMPLEXITY = {"exponents": (1.2, 4.0), "tasks": 16, "block": 16, "widths": (8, 16, 32, 40, 48)}


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


def scaled(results, change):
    """Results whose signals are changed at every state after the first, no two units alike."""
    signal = results["signal"].copy()
    own = change(signal.isel(step=slice(1, None)))
    noise = np.random.default_rng(0).normal(0, 1e-3, own.shape)
    signal[{"step": slice(1, None)}] = (own + noise).clip(0, 1)
    return results.assign(signal=signal)


def with_sham(results):
    """The same with a task of frequency 0 behind all others, of which nothing is ever learned."""
    sham = results.isel(task=[-1]).assign_coords(task=["regression 99"])
    sham = sham[["signal", "loss", "frequency", "spectrum", "is_withheld"]]
    sham["frequency"], sham["signal"] = 0 * sham["frequency"], 0 * sham["signal"]
    both = {name: xr.concat([results[name], sham[name]], "task") for name in sham}
    return results.drop_dims("task").assign(both)


def backwards(signal):
    return signal.copy(data=signal.to_numpy()[..., ::-1])


def with_rare(value):
    def change(signal):
        return signal.where(signal["task"] != signal["task"][-1], value)

    return change


@pytest.mark.parametrize("name", ALL)
def test_students_of_theory_hold(mixed, name):
    verdict = one(mixed(), name)
    assert verdict.verdict == "holds", verdict
    assert (verdict.units, verdict.covers, verdict.initialisations) == (2, "streams", 2)
    assert verdict.note in ("", "all 2 units are equal")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("staircase", backwards),
        ("prediction", backwards),
        ("prediction", lambda signal: signal - 0.1),
        ("rare_signal_right_of_line", with_rare(0.8)),
        ("rare_signal_left_of_line", with_rare(0.1)),
        ("above_capacity_unlearned", lambda signal: signal.clip(min=0.3)),
    ],
)
def test_other_students_fail(mixed, name, change):
    verdict = one(scaled(mixed(), change), name)
    assert verdict.verdict == "fails", verdict


def test_one_wide_error_is_enough_for_prediction_to_fail(mixed):
    """A mean over widths would let 0.05 at one of six pass; the largest does not."""
    results = mixed()
    signal = results["signal"].copy()
    signal[{"size": 2, "prior_exponent": 1}] -= 0.05
    verdict = one(results.assign(signal=signal), "prediction")
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(0.05, abs=0.005)


def test_a_late_rise_of_one_task_beyond_capacity_fails(mixed):
    """The rarest task of the narrowest student rises by 0.2 in the second half."""
    results = mixed()
    signal = results["signal"].copy()
    signal[{"size": 0, "task": -1, "step": -1}] += 0.2
    verdict = one(results.assign(signal=signal), "above_capacity_flat")
    assert verdict.verdict == "fails"
    assert verdict.estimate == pytest.approx(0.2, abs=0.01)
    early = results["signal"].copy()
    early[{"size": 0, "task": -1, "step": slice(1, None)}] += 0.2
    assert one(results.assign(signal=early), "above_capacity_flat").verdict == "holds"


def test_the_worst_of_three_staircases_is_judged(mixed):
    """Students that stop at two features of each task climb the first two staircases alone."""
    results = mixed()
    two = 1.25 / results["spectrum"].sum("direction").max()
    verdict = one(scaled(results, lambda signal: signal.clip(max=two)), "staircase")
    assert verdict.verdict == "fails"


RANK_ONE = {"betas": (2.0,), "block": 1, "tasks": 8, "widths": (1, 2, 4, 6)}


@pytest.mark.parametrize("name", [*ALL, "rank_one_staircase", *NAMES_OF_COMPLEXITY])
def test_a_diverged_student_takes_its_stream_with_it(mixed, name):
    """Its other widths say nothing then, least of all that all is well."""
    options = {"rank_one_staircase": RANK_ONE}.get(name, {})
    options = COMPLEXITY | {"betas": (1.0,)} if name in NAMES_OF_COMPLEXITY else options
    streams = 6 if name == "rank_one_staircase" else 3  # 8 tasks are few cells
    results = mixed(streams=streams, **options)
    # What the widest student learns is no matter of the narrowest.
    for width in (-1,) if name == "rare_signal_left_of_line" else (0, -1):
        broken = results["signal"].copy()
        broken[{"stream": 1, "size": width, "step": slice(-2, None)}] = np.nan
        verdict = one(results.assign(signal=broken), name)
        left = streams - 1
        assert (verdict.verdict, verdict.units, verdict.streams) == ("holds", left, left)
        assert verdict.note.endswith(f"2 of {2 * streams} statistics are missing")


def test_rank_one_tasks(mixed):
    results = mixed(**RANK_ONE, streams=5)
    verdict = one(results, "rank_one_staircase")
    assert (verdict.estimate, verdict.high, verdict.verdict) == (1, 1, "holds")
    assert verdict.low == pytest.approx(0.025 ** (1 / 40))  # none of 5 x 8 tasks is wrong
    assert one(mixed(**RANK_ONE), "rank_one_staircase").verdict == "inconclusive"
    assert one(scaled(results, backwards), "rank_one_staircase").verdict == "fails"
    assert "8 directions" in one(mixed(), "rank_one_staircase").note


@pytest.mark.parametrize("name", [*ALL, "rank_one_staircase", *NAMES_OF_COMPLEXITY])
def test_shams_are_no_tasks_of_the_mixture(mixed, name):
    """What was never shown has no place in it: no estimate moves, nor does a number of cells."""
    options = {"rank_one_staircase": RANK_ONE}.get(name, {})
    options = COMPLEXITY | {"betas": (1.0,)} if name in NAMES_OF_COMPLEXITY else options
    results = mixed(**options)
    found, expected = one(with_sham(results), name), one(results, name)
    assert expected.estimate == found.estimate and str(expected) == str(found)


@pytest.mark.parametrize("name", ["above_capacity_unlearned", "above_capacity_flat"])
def test_a_sham_alone_is_not_beyond_capacity(mixed, name):
    """The students are wide enough for all that they are shown."""
    wide = mixed(widths=(64, 65))
    assert one(wide, name).note == "no student is too narrow for any task"
    assert one(with_sham(wide), name).note == "no student is too narrow for any task"


@pytest.mark.parametrize("name", NAMES_OF_COMPLEXITY)
def test_complexity(mixed, name):
    results = mixed(betas=(1.0, 1.5), **COMPLEXITY)
    assert one(results, name).verdict == "holds", one(results, name)
    by_frequency = scaled(
        results, lambda signal: 1 - 0.001 * np.arange(signal.sizes["task"]) + 0 * signal
    )
    assert one(by_frequency, name).verdict == "fails"


@pytest.mark.parametrize("name", NAMES_OF_COMPLEXITY)
def test_equal_complexity_inverts_nothing(mixed, name):
    verdict = one(mixed(), name)
    assert verdict.verdict == "not tested"
    assert "no rarer task is predicted" in verdict.note


@pytest.mark.parametrize("name", [*ALL, "rank_one_staircase", "complexity_inversion"])
def test_withheld_tasks_are_another_study(mixed, name):
    results = mixed()
    results["is_withheld"][{"task": -1}] = 1
    verdict = one(results, name)
    assert verdict.verdict == "not tested"
    assert verdict.note == "tasks are withheld between bursts"


def test_only_grid_points_that_can_test_a_claim_count(mixed):
    """At beta = 0 all tasks tie, so that no task is beyond a student for sure."""
    results = mixed(betas=(0.0, 1.5), widths=(2, 4, 8, 16, 32, 64))
    tied = one(results.isel(prior_exponent=[0]), "above_capacity_unlearned")
    assert tied.verdict == "not tested"
    assert tied.note == "no student is too narrow for any task"
    assert one(results, "above_capacity_unlearned").verdict == "holds"


def test_a_rare_task_that_is_common_has_no_line(mixed):
    verdict = one(mixed().assign_coords(watch=["regression 1"]), "rare_signal_right_of_line")
    assert verdict.note == "the rarest watched task is one of the common ones"


def test_a_widest_student_that_is_too_narrow_tests_nothing(mixed):
    verdict = one(mixed(widths=(2, 4)), "rare_signal_left_of_line")
    assert verdict.verdict == "not tested"
    assert "Theorem 3 gives the widest student, 4, a share of 0 of the rare task" in verdict.note


def test_less_than_half_is_too_narrow_too(mixed):
    """Flat spectra: the first of eight features is an eighth of the rare task."""
    prior, spectra = utility.power_prior(8, 0.5), np.ones((8, 8))
    width = int(utility.staircase(prior, spectra, 1)[-1])
    verdict = one(
        mixed(betas=(0.5,), exponents=(0.0, 0.0), widths=(4, width)), "rare_signal_left_of_line"
    )
    assert f"gives the widest student, {width}, a share of 0.12" in verdict.note


def test_students_left_of_the_line_say_nothing_of_its_right(mixed):
    results = mixed(widths=(60, 64))
    results["residual"] = 0 * results["residual"]
    verdict = one(results, "rare_signal_right_of_line")
    assert verdict.note == "no student ends with a residual right of the line"


def test_a_tie_goes_either_way(mixed):
    """beta = 1: at width 4 of 8 tasks, 1/4 of task 1 ties with task 4's first feature."""
    results = mixed(betas=(1.0,), widths=(4, 24), streams=3)
    swapped = results["signal"].copy()
    width = {"size": 0, "step": slice(1, None)}
    swapped[{**width, "task": 0}] = 1 / results["spectrum"].isel(task=0).sum()
    swapped[{**width, "task": 3}] = 1 / results["spectrum"].isel(task=3).sum()
    other = results.assign(signal=swapped)
    assert np.abs(other["signal"] - results["signal"]).max() > 0.1
    for name in ("staircase", "prediction"):
        assert one(other, name).estimate == pytest.approx(one(results, name).estimate, abs=2e-3)
        assert one(other, name).verdict == "holds"


def test_an_inversion_that_a_tie_leaves_open_does_not_count():
    """At width 4 task 1 or task 2 has two features, at width 5 both; task 0 has one throughout."""
    spectra = np.array([[1, 0.01], [1, 0.9], [1, 0.9]])
    counts = np.array([[1, 1, 2], [1, 2, 2]])
    signal = utility.predicted_signal(spectra, counts)[None, :, None, None]
    results = xr.Dataset(
        {
            "signal": (("stream", "size", "initialisation", "step", "task"), signal),
            "frequency": ("task", [0.6, 0.2, 0.2]),
            "spectrum": (("task", "direction"), spectra),
            "is_withheld": ("task", np.zeros(3)),
        },
        {"size": [4, 5], "width": ("size", [4, 5]), "step": [9], "task": ["z", "b", "a"]},
    )
    assert one(results, "complexity_inversion").estimate == 1
    lost = results["signal"].where((results["task"] != "b") | (results["size"] != 5), 0.5)
    assert one(results.assign(signal=lost), "complexity_inversion").estimate == 0.5
