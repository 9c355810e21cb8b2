"""Claims on one and two neurons between two tasks."""

import pytest

from rare_retention.study.claims import judge

NAMES = ("one_neuron_is_pulled_back", "two_neurons_learn_both")


def test_neurons_of_the_paper_hold(competition):
    for verdict, estimate in zip(judge(competition(), NAMES), (0.03, 0.98), strict=True):
        assert verdict.verdict == "holds", verdict
        assert verdict.estimate == pytest.approx(estimate, abs=0.01)


def test_other_neurons_fail(competition):
    for verdict in judge(competition(one=0.7, two=0.5), NAMES):
        assert verdict.verdict == "fails", verdict


@pytest.mark.parametrize(("name", "neurons"), [(NAMES[0], 1), (NAMES[1], 2)])
def test_both_sizes_are_needed(competition, name, neurons):
    results = competition()
    (verdict,) = judge(results.sel(size=results["size"] != neurons), [name])
    assert verdict.verdict == "not tested"
    assert verdict.note == f"the study has no student of width {neurons}"
