"""Claims on arms: planted levels of each schedule and counterfactual."""

import made_arms
import made_control
import pytest
from made_arms import FORGOTTEN, WIDTHS

from rare_retention.study.claims import judge

COST, CLOSES, LITTLE = (
    "bursts_cost_small_more",
    "protection_closes_the_gap",
    "larger_bursts_close_little",
)
ANOTHER = "protecting_another_gives_nothing"
STILL, TEACHES = "holding_still_closes_the_gap", "holding_still_teaches_nothing"
OUTWEIGHS, NOTHING, GAINS, KEEPS = (
    "forgetting_outweighs_gains",
    "protection_gives_nothing_without_room",
    "larger_gains_more",
    "larger_keeps_more_between_bursts",
)


def one(levels, name, widths=WIDTHS, **others):
    (verdict,) = judge(made_arms.results(levels, widths=widths, **others), [name])
    return verdict


def changed(**others):
    return FORGOTTEN | {name.replace("_", " ").replace("  ", ", "): v for name, v in others.items()}


def test_what_is_forgotten_is_given_back_by_protection():
    found = one(FORGOTTEN, CLOSES)
    assert found.verdict == "holds" and found.note == "gap 50: size 1"
    assert found.estimate == pytest.approx(0.90 / 0.88, abs=0.01)
    assert one(FORGOTTEN, COST).estimate == pytest.approx(0.93 - 0.07, abs=0.01)
    assert one(FORGOTTEN, LITTLE).estimate == pytest.approx(0.03 / 0.88, abs=0.01)
    shapley = (0.90 + (0.94 - 0.05)) / 2 / 0.88
    assert one(FORGOTTEN, OUTWEIGHS).estimate == pytest.approx(shapley, abs=0.01)
    assert one(FORGOTTEN, NOTHING).estimate == pytest.approx(0.02 / 0.90, abs=0.01)
    for name in (COST, CLOSES, LITTLE, OUTWEIGHS, NOTHING):
        assert one(FORGOTTEN, name).verdict == "holds"


@pytest.mark.parametrize(("level", "expected"), [(0.9, "holds"), (0.2, "fails")])
def test_what_is_held_still_is_forgetting_alone(level, expected):
    found = one(changed(gap_50__held_still=(0.0, level, 0.6, 0.9)), STILL)
    assert found.verdict == expected
    assert found.estimate == pytest.approx((level - 0.02) / 0.88, abs=0.01)


@pytest.mark.parametrize(("rise", "expected"), [(0.0, "holds"), (0.3, "fails")])
def test_a_rule_that_teaches_what_it_should_keep_is_seen(rise, expected):
    found = made_arms.results(made_arms.HELD_STILL, widths=WIDTHS)
    (missing,) = judge(found, [TEACHES])
    assert missing.note == "no task that is never shown is watched"
    (verdict,) = judge(made_arms.with_sham(found, rise), [TEACHES])
    assert verdict.verdict == expected
    assert verdict.estimate == pytest.approx(rise, abs=0.02)


def test_what_larger_gains_give_back_speaks_against_forgetting():
    gained = changed(
        **{
            "gap_50__protected": (0.0, 0.10, 0.42, 0.90),
            "gap_50__more_rows": (0.0, 0.85, 0.90, 0.95),
            "gap_50__both": (0.0, 0.90, 0.92, 0.95),
        }
    )
    for name in (CLOSES, LITTLE, OUTWEIGHS):
        assert one(gained, name).verdict == "fails"


def test_a_size_that_is_not_held_evenly_is_not_compared():
    late = changed(even=(0.0, 0.5, 0.95, 0.97))
    assert one(late, CLOSES).note == "gap 50: size 2"
    assert one(late, COST).estimate == pytest.approx(0.55 - 0.07, abs=0.01)
    alone = one(changed(even=(0.0, 0.5, 0.5, 0.97)), COST)
    assert alone.verdict == "not tested"
    assert alone.note == "the largest size alone holds 0.9 where it is shown evenly"
    none = one(changed(even=(0.0, 0.95, 0.95, 0.5)), CLOSES)
    assert none.note == "the largest size does not hold 0.9 where it is shown evenly"


def test_protection_that_makes_room_is_seen():
    found = one(changed(gap_50__protected=(0.8, 0.92, 0.93, 0.95)), NOTHING)
    assert found.verdict == "fails" and found.estimate == pytest.approx(0.8 / 0.9, abs=0.01)
    roomy = one(FORGOTTEN, NOTHING, widths=(5, 6, 8, 16))
    assert roomy.note == "no size is known to have no room for the rare task"


def test_where_nothing_is_lacking_there_is_nothing_to_give_back():
    kept = dict.fromkeys(FORGOTTEN, (0.0, 0.95, 0.95, 0.96))
    assert one(kept, COST).verdict == "fails"
    assert one(kept, CLOSES).note == (
        "no size that holds 0.9 where it is shown evenly lacks 0.05 beside the largest at gap 50"
    )


def test_a_claim_names_the_arm_that_it_lacks():
    without = {name: v for name, v in FORGOTTEN.items() if name != "gap 50, both"}
    found = one(without, OUTWEIGHS)
    assert found.verdict == "not tested" and "gap 50, both" in found.note
    (plain,) = judge(made_arms.results(FORGOTTEN, widths=WIDTHS).isel(arm=0, drop=True), [CLOSES])
    assert plain.note.startswith("the study has no arms: it must add an axis")


def planted(rhos, gains):
    """Two sizes with room that hold the task evenly, and gain and keep so much at bursts."""
    study = made_arms.results({"even": (0.95, 0.96), "gap 50": (0.5, 0.6)}, widths=(4, 16))
    part = made_control.results(rhos, gains, noise=0.002, streams=4)["signal"]
    signal = study["signal"].copy()
    at = {"arm": list(study["arm"].to_numpy()).index("gap 50")}
    signal[at] = part.isel(left_out=0).isel(task=[0, 0]).transpose(*signal[at].dims).to_numpy()
    return study.assign(signal=signal)


@pytest.mark.parametrize(("gains", "expected"), [((0.3, 0.3), "fails"), ((0.1, 0.4), "holds")])
def test_gains_are_shares_of_what_is_missing(gains, expected):
    found, kept = judge(planted((0.5, 0.5), gains), [GAINS, KEEPS])
    assert found.verdict == expected
    assert found.estimate == pytest.approx(gains[1] - gains[0], abs=0.03)
    assert kept.verdict == "fails" and kept.estimate == pytest.approx(0, abs=0.03)


def test_what_is_kept_between_bursts_is_no_matter_of_gains():
    found, gained = judge(planted((0.2, 0.8), (0.3, 0.3)), [KEEPS, GAINS])
    assert found.verdict == "holds" and found.estimate == pytest.approx(0.6, abs=0.03)
    assert gained.verdict == "fails"


def test_a_student_that_never_rises_has_no_factor():
    (found,) = judge(planted((0.2, 0.8), (0.01, 0.3)), [KEEPS])
    assert found.verdict == "not tested" and "size 0 has no retention factor" in found.note


def test_bare_language_levels_need_no_theory():
    study = made_arms.results(FORGOTTEN)
    (found,) = judge(study, [CLOSES])
    assert found.verdict == "holds" and found.note == "gap 50: size 1"


@pytest.mark.parametrize(("ends", "expected"), [((0.02, 0.9), "holds"), ((0.6, 0.9), "fails")])
def test_what_protecting_another_gives(ends, expected):
    levels = {"even": (0.9, 0.95), "gap 50": (0.0, 0.9), "gap 50, another protected": ends}
    (found,) = judge(made_arms.results(levels), [ANOTHER])
    assert found.verdict == expected and found.kind == "check"
    assert found.estimate == pytest.approx(ends[0], abs=0.02)


def test_without_the_arm_it_is_not_tested():
    (found,) = judge(made_arms.results({"even": (0.9, 0.95), "gap 50": (0.0, 0.9)}), [ANOTHER])
    assert found.note == "the study has no arm such as 'gap 50, another protected'"
