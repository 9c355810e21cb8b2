"""Claims on evidence from snapshots: models that are as the paper says, and others."""

import numpy as np
import pytest
from made_language import RATES
from made_representation import representation

from rare_retention.evidence.states import UNITS
from rare_retention.study.claims import judge
from rare_retention.study.claims.representation import CLAIMS

R2, MODES, FIRST, CAUSAL = NAMES = [claim.name for claim in CLAIMS]
VARIABLES = {R2: "r2", MODES: "modes", FIRST: "null_effect", CAUSAL: "alignment"}


@pytest.fixture(scope="module")
def paper():
    """Results read only."""
    return representation()


def one(results, name):
    (verdict,) = judge(results, [name])
    return verdict


@pytest.mark.parametrize("name", NAMES)
def test_models_of_the_paper_hold(paper, name):
    found = one(paper, name)
    assert found.verdict == "holds", found
    assert (found.units, found.covers) == (2, "streams")


def test_the_difference_in_r2_is_that_of_the_ends_where_a_size_learns():
    results = representation(rates=RATES)
    last = results.isel(snapshot=-1, step=-1, task=[1, 2])
    ends = (last["r2"].isel(size=-1) - last["r2"].isel(size=0)).mean(UNITS)
    guessing = -np.log(last["chance"])
    learned = ((last["loss"] / guessing).mean(UNITS) < 0.5).any("size")
    assert 0 < int(learned.sum()) < learned.size
    expected = float(ends.where(learned).mean())
    assert one(results, R2).estimate == pytest.approx(expected, abs=1e-6)


def test_modes_are_counted_beyond_chance_over_all_layers(paper):
    last = paper.sel(task="addition").isel(snapshot=-1)
    beyond = (last["modes"] - last["modes_by_chance"]).sum("layer")
    left = (last["loss"].isel(step=-1) / np.log(100)).mean(UNITS)
    sizes = (left.isel(per_token=0) < 0.5).values
    rise = (beyond.isel(per_token=0) - beyond.isel(per_token=2)).isel(size=sizes)
    assert one(paper, MODES).estimate == pytest.approx(float(rise.mean()), abs=1e-6)


def test_probes_that_read_nothing_do_not_differ():
    """However far below 0 a small model's lies: there it counts its principal components."""
    found = one(representation(r2=lambda x: -1.5 + 1.4 * x), R2)
    assert (found.verdict, found.estimate) == ("inconclusive", 0.0)  # of two equal units
    assert found.high - found.low > 0.5


def test_evidence_from_elsewhere_is_not_what_the_claim_is_about():
    results = representation()
    for name, options in (("r2", '{"layer": 2, "position": 0}'), ("alignment", '{"pairs": 1000}')):
        results[name].attrs["options"] = options
    assert one(results, CAUSAL).verdict == "holds"
    found = one(results, R2)
    assert found.verdict == "not tested" and "--layer=2" in found.note


def test_pairs_that_the_model_cannot_answer_test_no_cause():
    results = representation()
    unknown = results["loss"].where(results["task"] == "text", 9.0)
    found = one(results.assign(test_loss=unknown), CAUSAL)
    assert found.verdict == "not tested" and "test half" in found.note


def test_sizes_that_represent_alike_fail():
    assert one(representation(r2=lambda x: 0.9 + 0 * x), R2).verdict == "fails"


def test_as_many_modes_at_every_frequency_fail():
    found = one(representation(modes=lambda x: 9 - 6 * x), MODES)
    assert found.verdict == "fails" and found.estimate < 0


def test_modes_that_chance_explains_do_not_count():
    same = {name: lambda x: 2 + 12 * x for name in ("modes", "modes_by_chance")}
    assert one(representation(noise=0.001, **same), MODES).estimate == pytest.approx(0, abs=0.01)


def test_a_last_layer_that_matters_most_fails(paper):
    reverse = paper.assign(
        null_effect=paper["null_effect"].copy(data=paper["null_effect"][..., ::-1])
    )
    found = one(reverse, FIRST)
    assert found.verdict == "fails" and found.estimate == pytest.approx(1 / 4, abs=0.02)


def test_models_of_two_layers_do_not_count_beside_deeper_ones(paper):
    effects = paper["null_effect"].copy(deep=True)
    shallow = {"size": slice(0, -1)}
    effects[{**shallow, "layer": slice(2, None)}] = np.nan
    effects[{**shallow, "layer": 1}] = 0.01
    assert one(paper.assign(null_effect=effects), FIRST).estimate == pytest.approx(2, abs=0.1)
    effects[{"size": -1, "layer": slice(2, None)}] = np.nan
    found = one(paper.assign(null_effect=effects), FIRST)
    assert found.verdict == "not tested" and "3 layers or more" in found.note


def test_the_first_layer_is_held_against_the_next(paper):
    assert one(paper, FIRST).estimate == pytest.approx(2, abs=0.05)


def test_a_direction_that_succeeds_at_half_fails():
    found = one(representation(alignment=lambda x: 0.5 * x), CAUSAL)
    assert found.verdict == "fails" and found.estimate == pytest.approx(0.5, abs=0.03)


def test_the_largest_size_is_asked_alone(paper):
    small = paper.copy(deep=True)
    small["alignment"][{"size": slice(0, -1)}] = 0.0
    assert one(small, CAUSAL).estimate == one(paper, CAUSAL).estimate


@pytest.mark.parametrize("name", NAMES)
def test_without_evidence_nothing_is_tested(paper, name):
    found = one(paper.drop_vars(VARIABLES[name]), name)
    assert found.verdict == "not tested"
    assert found.note == f"the last launch.evidence has not measured {VARIABLES[name]}"


@pytest.mark.parametrize("name", NAMES)
def test_a_task_that_nobody_learns_is_not_asked_for(name):
    found = one(representation(rates=(2.4e-8, 2.4e-9)), name)
    assert found.verdict == "not tested" and "the task is not learned" in found.note


def test_a_task_that_the_largest_size_does_not_learn_is_not_asked_for(paper):
    turned = paper.isel(per_token=[2], task=[0, 1], size=[2, 1, 0])
    assert one(turned, CAUSAL).note == "the task is not learned by the largest size"


@pytest.mark.parametrize(
    ("name", "place", "note"),
    [
        (R2, {"size": [2]}, "the study has one size only"),
        (MODES, {"per_token": 0}, "the study does not vary the frequency"),
        (MODES, {"per_token": [0]}, "fewer than two values of the frequency have a finished run"),
        (
            FIRST,
            {"layer": [0, 1]},
            "the models have 2 layers: which of fewer than 3 matters most says little of the first",
        ),
        (CAUSAL, {"task": [0]}, "the study injects no task"),
    ],
)
def test_a_study_that_does_not_vary_what_is_compared(paper, name, place, note):
    assert one(paper.isel(place), name).note == note


@pytest.mark.parametrize("name", NAMES)
def test_unfinished_runs_do_not_count(paper, name):
    results = paper.copy(deep=True)
    results["finished"][1] = False
    found = one(results, name)
    assert found.units <= 2 and found.streams == 1
    alone = one(paper.isel(stream=[0]), name)
    assert found.estimate == pytest.approx(alone.estimate)


@pytest.mark.parametrize("name", NAMES)
def test_frequencies_may_stand_in_any_order_and_sizes_have_any_names(paper, name):
    mixed = paper.isel(per_token=[1, 2, 0]).assign_coords(size=["z", "m", "a"])
    assert one(mixed, name).estimate == pytest.approx(one(paper, name).estimate)


def test_frequencies_are_compared_at_each_gap():
    results = representation(gaps=(1, 10))
    each = [one(results.isel(gap=[i]), MODES).estimate for i in range(2)]
    assert one(results, MODES).estimate == pytest.approx(np.mean(each))


def test_rates_are_those_of_the_made_study(paper):
    assert paper["per_token"].values.tolist() == list(RATES[:3])
