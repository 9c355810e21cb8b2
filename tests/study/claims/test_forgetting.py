"""Claims on forgetting: planted factors and planted protection."""

import made_control
import pytest

from rare_retention.study.claims import judge

FACTOR, CLOSES = "retention_factor_grows_with_size", "protection_closes_the_gap"


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


def test_without_a_control_or_a_rise_no_factor_is_judged():
    whole = made_control.results((0.3, 0.6), (0.2, 0.2))
    alone = one(whole.isel(left_out=0), FACTOR)
    assert alone.verdict == "not tested" and "the study has no control" in alone.note
    flat = one(made_control.results((0.3, 0.6), (0.01, 0.2)), FACTOR)
    assert flat.verdict == "not tested"


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


def test_without_protected_arms_it_is_not_tested():
    found = one(made_control.results((0.3, 0.6), (0.2, 0.2)), CLOSES)
    assert found.verdict == "not tested" and "no arms protected_after" in found.note
