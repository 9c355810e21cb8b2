"""Claims on forgetting: planted factors and planted protection."""

import made_control
import numpy as np
import pytest
import xarray as xr

from rare_retention.study.claims import CLAIMS, judge

FACTOR = "retention_factor_grows_with_size"
MATCHED, SMALL = "larger_keeps_more_at_matched_gain", "small_loses_most_in_a_gap"
BY_FACTOR = (FACTOR, MATCHED, SMALL)
NOISE = 0.005


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


@pytest.mark.parametrize(
    ("rhos", "gains", "expected"),
    [
        ((0.6, 0.6), (0.1, 0.9), "fails"),  # gains differ, what is kept of them does not
        ((0.3, 0.6), (0.2, 0.2), "holds"),
        ((0.9, 0.9), (0.3, 0.5), "fails"),
        ((0.6, 0.65), (0.4, 0.4), "fails"),
    ],
)
def test_a_larger_factor_is_kept_or_not_whatever_is_gained(rhos, gains, expected):
    verdict = one(made_control.results(rhos, gains, noise=0.005), FACTOR)
    assert verdict.verdict == expected
    assert verdict.estimate == pytest.approx(rhos[1] - rhos[0], abs=0.03)


def accounts(results):
    """Accounts for which some claim that holds speaks."""
    return {CLAIMS[v.claim].account for v in judge(results) if v.verdict == "holds"}


def test_equal_factors_speak_for_no_retention_whatever_is_gained():
    """The large student gains nine times as much and holds more at any time: that is no keeping."""
    study = made_control.results((0.6, 0.6), (0.1, 0.9), noise=NOISE)
    assert accounts(study) == {"none"}
    assert one(study, "wide_accumulates").verdict == "holds"
    assert [one(study, name).verdict for name in BY_FACTOR] == ["fails", "not tested", "fails"]


def test_unequal_factors_at_equal_gains_do():
    study = made_control.results((0.3, 0.6), (0.2, 0.2), noise=NOISE)
    assert "retention" in accounts(study)
    assert [one(study, name).verdict for name in BY_FACTOR] == ["holds"] * 3
    assert one(study, MATCHED).estimate == pytest.approx(0.3, abs=0.03)


def test_a_student_that_keeps_nine_tenths_does_not_lose_most():
    found = one(made_control.results((0.9, 0.95), (0.3, 0.3), noise=NOISE), SMALL)
    assert found.verdict == "fails" and found.estimate == pytest.approx(0.9, abs=0.02)
    lost = one(made_control.results((0.2, 0.95), (0.3, 0.3), noise=NOISE), SMALL)
    assert lost.verdict == "holds" and lost.estimate == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("name", BY_FACTOR)
def test_without_a_control_the_claim_says_what_the_study_must_add(name):
    alone = one(made_control.results((0.3, 0.6), (0.2, 0.2)).isel(left_out=0), name)
    assert alone.verdict == "not tested"
    assert alone.note == (
        "the study has no control: it must add an axis over exposure.left_out with the values () "
        "and (-1,), the same runs without the rare task"
    )


@pytest.mark.parametrize("name", BY_FACTOR)
def test_a_level_that_never_rises_has_no_factor_and_is_named(name):
    study = made_control.results((0.3, 0.6), (0.01, 0.01)).assign_coords(size=["tiny", "large"])
    found = one(study, name)
    assert found.verdict == "not tested"
    assert found.note.startswith("size tiny has no retention factor: it never rises 0.05 above")


def test_gains_that_are_not_alike_are_not_compared():
    found = one(made_control.results((0.3, 0.6), (0.1, 0.4), noise=NOISE), MATCHED)
    assert found.verdict == "not tested" and "for each row of the task" in found.note
    assert "launch.match" in found.note


def test_equal_gains_are_those_of_a_row():
    """Of gains of a fifth of what is missing the sum over cycles, by 8 rows each."""
    study = made_control.results((0.5, 0.5), (0.1, 0.4))
    level, found = np.zeros(2), np.zeros(2)
    cycles = made_control.CYCLES - 1  # after the last exposure no next one is known
    for _ in range(cycles):
        gain = np.array([0.1, 0.4]) * (1 - level)
        found, level = found + gain, 0.5 * (level + gain)
    small, large = found / cycles / made_control.ROWS
    assert (
        f"gains {small:.3g} for each row of the task, the largest {large:.3g}"
        in one(study, MATCHED).note
    )


def test_cycles_after_some_size_has_learned_are_not_compared_at_equal_gain():
    """The large student is at 0.5 after three bursts; what the small one keeps later is planted."""
    study = made_control.results((0.6, 0.9), (0.22, 0.22), noise=NOISE)
    later = study["step"] >= 5 * made_control.GAP
    shown = (study["left_out"] == "()") & (study["size"] == 0) & later
    changed = study.assign_coords(size=[0, 1])
    shown = (changed["left_out"] == "()") & (changed["size"] == 0) & later
    changed["signal"] = changed["signal"].where(~shown, 0.2)  # constant: it would keep all
    for results in (study, changed):
        found = one(results, MATCHED)
        assert found.verdict == "holds" and found.estimate == pytest.approx(0.3, abs=0.03)


def test_sizes_without_room_are_not_compared():
    """By Theorem 3 width 3 barely has the rare task: what it lacks may be capacity."""
    study = made_control.results((0.0, 0.6, 0.6), (0.5, 0.5, 0.5), noise=NOISE)
    assert one(study, FACTOR).estimate == pytest.approx(0.6, abs=0.03)  # nothing known of room
    known = made_control.in_mixture(study, (3, 4, 5))
    found = one(known, FACTOR)
    assert found.verdict == "fails" and found.estimate == pytest.approx(0.0, abs=0.03)
    assert one(known, SMALL).estimate == pytest.approx(0.6, abs=0.03)
    for widths, words in (((1, 2, 4), "one size alone has"), ((1, 2, 3), "no size has")):
        found = one(made_control.in_mixture(study, widths), FACTOR)
        assert found.verdict == "not tested" and found.note.startswith(f"{words} room for the rare")


def test_factors_are_of_the_answer_where_it_was_measured():
    """A loss that knows the labels better and better tells nothing of what is kept."""
    study = made_control.results((0.3, 0.6), (0.2, 0.2), noise=NOISE)
    injected = study.rename(signal="answer").assign(
        loss=3 - study["step"] / 1000 + 0 * study["signal"], chance=("task", [0.5])
    )
    assert one(injected, FACTOR).estimate == pytest.approx(0.3, abs=0.03)
    blind = injected.assign(answer=injected["answer"] * np.nan)
    assert one(blind, FACTOR).verdict == "not tested"


def test_controls_are_no_points_of_other_claims():
    """What is measured where the task was left out does not move a claim about the others."""
    study = made_control.results((0.3, 0.6), (0.2, 0.2), noise=NOISE)
    cosine = xr.DataArray([[0.5, 0.4, 0.3], [0.3, 0.4, 0.5]], dims=("left_out", "size"))
    study = study.isel(size=[0, 1, 1])
    gradients = (cosine + 0 * study["signal"]).rename(task="watch").assign_coords(watch=["rare"])
    dims = ("stream", "left_out", "size", "initialisation", "step", "watch")
    found = one(study.assign(cosine=gradients.transpose(*dims)), "cosine_shrinks_with_width")
    assert found.estimate == pytest.approx(-1)
