"""Claims on forgetting: planted factors and planted protection."""

import made_control
import numpy as np
import pytest
import xarray as xr

from rare_retention.study.claims import CLAIMS, judge
from rare_retention.study.claims.forgetting import PROTECTED

FACTOR, CLOSES = "retention_factor_grows_with_size", "protection_closes_the_gap"
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


@pytest.mark.parametrize(
    ("bare", "kept", "expected", "share"),
    [
        ((0.0, 0.95), (0.93, 0.96), "holds", 0.93 / 0.95),  # forgetting
        ((0.5, 0.95), (0.92, 0.96), "holds", 0.42 / 0.45),
        ((0.6, 0.97), (0.9 + 0.01, 0.97), "holds", 0.31 / 0.37),
    ],
)
def test_what_protection_gives_back_is_counted(bare, kept, expected, share):
    verdict = one(made_control.protected(bare, kept), CLOSES)
    assert verdict.verdict == expected
    assert verdict.estimate == pytest.approx(share, abs=0.02)


def test_each_place_of_the_grid_has_a_share_of_its_own():
    """The second gap is closed by half: the mean counts, not the last."""
    both = [
        made_control.protected((0.0, 0.9, 0.99), kept)
        for kept in ((0.2, 0.99, 0.99), (0.2, 0.92, 0.99))
    ]
    joined = xr.concat(both, "batch", data_vars="all").assign_coords(batch=[64, 128])
    shares = [one(own, CLOSES).estimate for own in both]
    assert one(joined, CLOSES).estimate == pytest.approx(np.mean(shares), abs=1e-6)
    assert shares[0] - shares[1] > 0.3


def test_a_stream_that_lacks_next_to_nothing_does_not_decide_the_share():
    """Of six streams one forgets nothing; a mean of shares would be that one's alone."""
    study = made_control.protected((0.3, 0.95), (0.93, 0.96), streams=6)
    place = {"stream": 0, "left_out": 0, "protected_after": 0, "step": -1}
    large = study["signal"][{**place, "size": 1}]
    study["signal"][{**place, "size": 0}] = large - 1e-6
    found = one(study, CLOSES)
    assert found.units == 6 and found.verdict == "holds"
    assert found.estimate == pytest.approx((5 * 0.63 - 0.02) / (5 * 0.65), abs=0.02)


def test_protection_that_gives_back_half_does_not_close_it():
    """A third size has room and lacks: it is the smallest that counts, not the narrowest."""
    found = one(made_control.protected((0.0, 0.85, 0.99), (0.2, 0.92, 0.99)), CLOSES)
    assert found.verdict == "fails" and found.estimate == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("bare", "kept", "reason"),
    [
        ((0.0, 0.95), (0.3, 0.96), "no size holds 0.9"),  # capacity: no room
        ((0.94, 0.95), (0.95, 0.96), "no size holds 0.9"),  # nothing lacks
    ],
)
def test_without_room_or_a_gap_there_is_nothing_to_close(bare, kept, reason):
    found = one(made_control.protected(bare, kept), CLOSES)
    assert found.verdict == "not tested" and reason in found.note


def test_what_a_rule_keeps_is_no_factor_of_the_student():
    """Unlike factors in the protected arm alone: the bare one is what is judged."""
    bare, kept = (
        made_control.results(rhos, (0.3, 0.3), noise=NOISE) for rhos in ((0.6, 0.6), (0.3, 0.9))
    )
    both = xr.concat([bare, kept], PROTECTED, data_vars="all")
    both = both.assign_coords({PROTECTED: [10**6, 20]})
    assert one(both, FACTOR).estimate == pytest.approx(0.0, abs=0.03)
    assert one(both, SMALL).estimate == pytest.approx(0.6, abs=0.03)


def test_without_protected_arms_it_is_not_tested():
    found = one(made_control.results((0.3, 0.6), (0.2, 0.2)), CLOSES)
    assert found.verdict == "not tested" and "no arms protected_after" in found.note
