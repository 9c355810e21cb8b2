"""Claims on injected tasks: language models that learn as the paper says, and others."""

import made_language
import numpy as np
import pytest
from made_language import RATES, SIZES, language

from rare_retention.study.claims import judge

BY_FREQUENCY = (
    "larger_learns_rarer",
    "frequency_orders_learning",
    "same_curve_at_high_frequency",
    "small_plateaus_at_low_frequency",
    "larger_wins_at_equal_compute_when_rare",
)
BY_SIZE = tuple(name for name in BY_FREQUENCY if name != "frequency_orders_learning")
GAP, TEXT = "gap_raises_task_loss", "learns_text"


@pytest.fixture(scope="module")
def paper():
    """Results over frequencies, read only."""
    return language()


@pytest.fixture(scope="module")
def gaps():
    """Results over gaps, read only."""
    return made_language.gaps()


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


def planted(share):
    """Results in which `share(parameters, tokens, rate)` of every task is left."""
    return language(
        share=lambda parameters, tokens, rate, gap, harder: np.broadcast_to(
            share(parameters, tokens, rate), np.broadcast_shapes(parameters.shape, tokens.shape)
        )
    )


@pytest.mark.parametrize("name", [*BY_FREQUENCY, TEXT])
def test_models_of_the_paper_hold(paper, name):
    verdict = one(paper, name)
    assert verdict.verdict == "holds", verdict
    assert (verdict.units, verdict.covers) == (2, "streams")


def test_models_of_the_paper_lose_by_the_gap(gaps):
    assert one(gaps, GAP).verdict == "holds"
    assert one(gaps, TEXT).verdict == "holds"


def test_size_decides_at_the_rarest_frequency_that_any_size_learns(paper):
    """At 2.4e-8 none learns either task, at 2.4e-7 the largest alone."""
    rare = paper.sel(per_token=RATES[2]).isel(step=-1, size=[0, -1])
    expected = []
    for task, guessing in (("comparison", np.log(2)), ("addition", np.log(100))):
        left = (rare["loss"].sel(task=task) / guessing).clip(max=1)
        smallest, largest = left.mean(("stream", "initialisation")).values
        assert smallest > 0.9 and largest < 0.5
        expected.append(smallest - largest)
    found = one(paper, "larger_learns_rarer")
    assert found.estimate == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "larger_learns_rarer",
        "small_plateaus_at_low_frequency",
        "larger_wins_at_equal_compute_when_rare",
    ],
)
def test_small_models_that_learn_more_fail(name):
    def swapped(parameters, tokens, rate):
        left = made_language.share_left(parameters[::-1], tokens, rate, 1, 0)
        return np.where(parameters == min(SIZES.values()), left, 1.0)

    assert one(planted(swapped), name).verdict == "fails"


def test_sizes_that_learn_alike_fail():
    """Every size learns at 2.4e-6 and none below: width makes no difference."""

    def alike(parameters, tokens, rate):
        return np.where(rate >= RATES[1], np.exp(-tokens / 1e8), 1.0)

    found = one(planted(alike), "larger_learns_rarer")
    assert found.verdict == "fails"
    assert found.estimate == pytest.approx(0, abs=0.01)


def test_rare_tasks_that_come_first_fail():
    def reverse(parameters, tokens, rate):
        return 1 / (1 + tokens * (RATES[-1] / rate) / 1e5)

    found = one(planted(reverse), "frequency_orders_learning")
    assert found.verdict == "fails"
    assert found.estimate == 0


def test_sizes_on_different_curves_fail_where_the_task_is_frequent():
    def apart(parameters, tokens, rate):
        late = np.where(parameters == min(SIZES.values()), 2e7, 1e5)
        return 1 / (1 + (tokens / late) ** 4)

    found = one(planted(apart), "same_curve_at_high_frequency")
    assert found.verdict == "fails"


def test_one_curve_of_the_text_loss_has_no_plateau():
    """A small model that never reaches the text loss at which the task is learned is on it."""

    def by_text(parameters, tokens, rate):
        return 1 / (1 + np.exp((4.8 - made_language.text_loss(parameters, tokens)) / 0.05))

    results = planted(by_text)
    assert one(results, "larger_learns_rarer").estimate > 0.99  # in units that are all equal
    assert one(results, "small_plateaus_at_low_frequency").estimate < 0.01


def test_the_smaller_model_may_win_at_equal_compute():
    """Sizes that learn alike by the token: the smaller has seen more of them."""

    def by_token(parameters, tokens, rate):
        plateau = np.where((rate < RATES[0]) & (parameters < 1e7), 0.6, 0.0)
        return np.maximum(1 / (1 + (tokens / 1e8) ** 4), plateau)

    results = planted(by_token)
    assert one(results, "larger_learns_rarer").verdict == "holds"
    found = one(results, "larger_wins_at_equal_compute_when_rare")
    assert found.verdict == "fails"


def test_a_size_that_knows_the_unigrams_alone_fails(paper):
    results = paper.copy(deep=True)
    known = made_language.UNIGRAMS - 0.1 + 1e-5 * np.arange(2)[:, None, None]
    results["loss"][{"size": 0, "per_token": 3, "task": 0}] = known
    found = one(results, TEXT)
    assert found.verdict == "fails"
    assert found.estimate == pytest.approx(0.1, abs=1e-4)


def test_the_slope_is_one_of_shares_against_doublings():
    """A share of 0.1 more for each doubling, in both tasks and every size."""
    results = made_language.gaps(
        (1, 4, 16),
        noise=0.0,
        share=lambda n, tokens, rate, gap, harder: 0.1 + 0.1 * np.log2(gap) + 0 * n * tokens,
    )
    known = results["loss"].sel(step=9999)  # all labels are known by then, in part
    most = float(known.sel(task="comparison", gap=1).max())
    assert most == pytest.approx(0.1 * np.log(2), rel=0.01)
    assert one(results, GAP).estimate == pytest.approx(0.1, rel=0.01)


def test_a_loss_that_falls_with_the_gap_fails():
    def falling(parameters, tokens, rate, gap, harder):
        return 0.5 - 0.1 * np.log10(gap) + 0 * parameters * tokens

    assert one(made_language.gaps(share=falling), GAP).verdict == "fails"


def test_models_that_learn_nothing_at_any_gap_have_nothing_to_lose():
    def nothing(parameters, tokens, rate, gap, harder):
        return 0.93 + 0.02 * np.log10(gap) + 0 * parameters * tokens

    found = one(made_language.gaps(share=nothing, noise=0.0), GAP)
    assert found.verdict == "not tested"
    assert found.note == "no student has all that the statistic needs"


def test_states_before_an_exposure_must_be_measured(gaps):
    """An early state at the same phase would compare a beginner with trained models."""
    note = "at gap 100 no late state just before an exposure was measured"
    ends = gaps.isel(gap=[0, 2])
    sparse = ends.sel(step=gaps["step"] % 100 != 99)
    assert one(sparse, GAP).note == note
    early = ends.assign_coords(step=[99 if s == 20 else s for s in ends["step"].values])
    assert one(early.sel(step=early["step"] != 9999), GAP).note == note


@pytest.mark.parametrize("name", BY_FREQUENCY)
def test_a_single_frequency_varies_nothing(paper, name):
    assert one(paper.isel(per_token=[0]), name).note == (
        "fewer than two values of the frequency have a finished run"
    )
    assert one(paper.isel(per_token=0), name).note == "the study does not vary the frequency"


def test_a_single_gap_varies_nothing(gaps, paper):
    note = "fewer than two values of the gap have a finished run"
    assert one(gaps.isel(gap=[0]), GAP).note == note
    assert one(paper, GAP).note == "the study does not vary the gap"


@pytest.mark.parametrize("name", BY_SIZE)
def test_one_size_compares_nothing(paper, name):
    assert one(paper.isel(size=[1]), name).note == "the study has one size only"


def test_one_size_has_an_order_of_learning(paper):
    verdict = one(paper.isel(size=[2]), "frequency_orders_learning")
    assert (verdict.estimate, verdict.high) == (1, 1)
    # One size has few pairs of frequencies: all in order is not yet nine tenths of them.
    assert verdict.verdict == "inconclusive" and 0.5 < verdict.low < 0.9


@pytest.mark.parametrize("name", BY_FREQUENCY)
def test_where_nothing_is_learned_nothing_is_compared(name):
    found = one(planted(lambda parameters, tokens, rate: 0.8), name)
    assert found.verdict == "not tested"
    assert "learn" in found.note


@pytest.mark.parametrize("name", [BY_SIZE[0], *BY_SIZE[2:]])
def test_where_all_is_learned_nothing_is_rare(name):
    found = one(planted(lambda parameters, tokens, rate: np.exp(-tokens / 1e7)), name)
    assert found.note == "every size learns the task at the lowest frequency: none is rare enough"


def test_a_task_that_cannot_say_does_not_count(paper):
    """The smallest size does not learn addition at any frequency; comparison alone is judged."""
    name = "same_curve_at_high_frequency"
    alone = paper.isel(task=[0, 1])
    assert one(paper, name).estimate == one(alone, name).estimate
    addition = one(paper.isel(task=[0, 2]), name)
    assert addition.note == "smallest and largest size do not both learn the highest frequency"
    assert one(paper.isel(task=[0]), name).note == "the study injects no task"


@pytest.mark.parametrize("name", [*BY_FREQUENCY, TEXT])
def test_frequencies_may_stand_in_any_order_and_sizes_have_any_names(paper, name):
    mixed_up = paper.isel(per_token=[2, 0, 3, 1]).assign_coords(size=["z", "m", "a"])
    assert one(mixed_up, name).estimate == pytest.approx(one(paper, name).estimate)


def test_gaps_may_stand_in_any_order(gaps):
    assert one(gaps.isel(gap=[2, 0, 1]), GAP).estimate == pytest.approx(one(gaps, GAP).estimate)


@pytest.mark.parametrize("name", [*BY_FREQUENCY, TEXT])
def test_a_missing_run_takes_its_stream_with_it(name):
    results = language(streams=3)
    results["finished"][1, 2] = False
    found = one(results, name)
    used = name != "same_curve_at_high_frequency"  # which reads the most frequent point alone
    assert found.units == (2 if used else 3), found
    assert "1 of 12 runs have not finished" in found.note


def test_other_dimensions_of_the_grid_are_averaged():
    results = language(rates=RATES[:3], gaps=(1, 10))
    name = "larger_learns_rarer"
    each = [one(results.isel(gap=[i]), name).estimate for i in range(2)]
    assert each[0] != each[1]
    assert one(results, name).estimate == pytest.approx(np.mean(each))
