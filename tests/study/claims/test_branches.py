import made_branches
import pytest

from rare_retention.study.claims import judge


def verdict(results, name="larger_forgets_slower"):
    (found,) = judge(results, [name])
    return found


@pytest.mark.parametrize(
    ("half_lives", "word", "estimate"),
    [((50, 200), "holds", 2.0), ((50, 60), "fails", 0.26), ((200, 50), "fails", -2.0)],
)
def test_half_lives_from_the_turn_on_are_compared(half_lives, word, estimate):
    found = verdict(made_branches.results(half_lives, shift=5))
    assert found.verdict == word
    assert found.estimate == pytest.approx(estimate, abs=0.05)


def test_higher_levels_that_fade_as_fast_are_no_slower_forgetting():
    assert verdict(made_branches.results((60, 60), starts=(0.2, 0.9))).verdict == "fails"


def test_a_half_life_beyond_the_measured_steps_counts_as_that_long_at_least():
    """Of 8 streams none is dropped: the lower end is that of what was seen."""
    found = verdict(made_branches.results((50, 1e5), streams=8))
    assert found.verdict == "holds" and found.units == 8
    assert "of 8 units one bound is known alone" in found.note
    assert found.low == pytest.approx(3, abs=0.1)
    assert found.to_dict()["high"] is None and found.p < 0.05
    both = verdict(made_branches.results((1e5, 1e5), streams=8))
    assert both.verdict == "inconclusive"


def test_a_size_that_holds_nothing_has_no_half_life():
    found = verdict(made_branches.results(starts=(0.01, 0.9)))
    assert found.verdict == "not tested"
    assert "size 8 has nothing to forget: it holds 0.01 where branch quiet begins" in found.note


def test_without_a_branch_there_is_nothing_to_compare():
    results = made_branches.results().assign_attrs(study='{"branches": []}')
    assert "it must add one" in verdict(results).note


def test_protected_levels_are_checked():
    found = verdict(made_branches.results(), "protection_keeps_the_level")
    assert found.verdict == "holds" and found.kind == "check"
    fades = made_branches.results((20, 20))
    assert verdict(fades, "protection_keeps_the_level").verdict == "fails"


@pytest.mark.parametrize(("apart", "word"), [(0.0, "holds"), (0.2, "fails")])
def test_protection_of_another_task_is_compared_with_none(apart, word):
    found = verdict(made_branches.results(apart=apart), "protection_of_another_changes_nothing")
    assert found.verdict == word and found.kind == "check"


def test_branches_of_unequal_length_are_compared_where_both_go_on():
    made = made_branches.results()
    early = made["step"] <= made_branches.TURN + 200
    for name in ("signal", "loss"):
        made[name] = made[name].where(early | (made["branch"] != "along another"))
    assert verdict(made, "protection_of_another_changes_nothing").verdict == "holds"


@pytest.mark.parametrize(
    ("saves", "word"), [((0.1, 0.5), "holds"), ((0.5, 0.5), "inconclusive"), ((0.6, 0.2), "fails")]
)
def test_savings_are_shares_of_each_sizes_own_steps(saves, word):
    """Learning twice as fast the first time and again is no saving."""
    made = made_branches.results(learn=(250, 125), saves=saves, noise=0.2, streams=6)
    found = verdict(made, "savings_grow_with_size")
    assert found.verdict == word


def test_a_task_that_is_not_learned_again_bounds_its_savings():
    found = verdict(
        made_branches.results(learn=(250, 125), saves=(-2.0, 0.5), noise=0.2, streams=8),
        "savings_grow_with_size",
    )
    assert found.verdict == "holds" and "one bound is known alone" in found.note
