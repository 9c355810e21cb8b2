"""Verdicts from intervals, what is said where there is none, and the names of claims."""

import json
from dataclasses import replace

import made_arms
import made_block_effects
import made_branches
import made_control
import made_injection
import made_language
import made_once_known
import made_parity
import made_representation
import numpy as np
import pytest
import xarray as xr

from rare_retention.errors import ConfigError
from rare_retention.study.claims import CLAIMS, check_names, judge
from rare_retention.study.claims.claim import NOTE, Claim, NotTested, counted, over_points
from rare_retention.study.claims.verdict import judge_claim, judged_together

NAN = np.nan


def claim(relation, threshold, values, **more):
    measured = xr.DataArray(np.asarray(values, np.float64), dims=("stream", "initialisation"))
    return Claim(
        name="made-up",
        statement="It is so.",
        source="Fig. 0",
        statistic="A number.",
        relation=relation,
        threshold=threshold,
        compute=lambda _: measured,
        account="none",
        against="It is not.",
        **more,
    )


def verdict(relation, threshold, values, **more):
    return judge_claim(claim(relation, threshold, values, **more), xr.Dataset())


# Two streams at 0.9 and 1.1: the interval is 1 +- 12.7 * 0.1, from -0.27 to 2.27.
WIDE = [[0.9], [1.1]]
# Three at 0.99, 1 and 1.01: 1 +- 4.3 * 0.01 / sqrt(3), from 0.975 to 1.025.
TIGHT = [[0.99], [1.0], [1.01]]


@pytest.mark.parametrize(
    ("relation", "threshold", "values", "expected"),
    [
        (">=", 0.9, TIGHT, "holds"),
        (">=", 1.1, TIGHT, "fails"),
        (">=", 1.02, TIGHT, "inconclusive"),
        (">=", 0.98, TIGHT, "inconclusive"),
        ("<=", 1.1, TIGHT, "holds"),
        ("<=", 0.9, TIGHT, "fails"),
        ("<", 1.1, TIGHT, "holds"),
        (">", 1.1, TIGHT, "fails"),
        (">=", 0.5, WIDE, "inconclusive"),
        (">=", -0.3, WIDE, "holds"),
        (">=", 2.3, WIDE, "fails"),
    ],
)
def test_the_whole_interval_must_be_on_one_side(relation, threshold, values, expected):
    assert verdict(relation, threshold, values).verdict == expected


def test_one_unit_is_inconclusive_and_shows_its_estimate():
    found = verdict(">=", 0.5, [[0.9]])
    assert found.verdict == "inconclusive"
    assert found.estimate == 0.9
    assert (found.units, found.covers) == (1, "none")
    assert found.note == "one unit only: no interval"


@pytest.mark.parametrize("threshold", [1.0, 0.2, 5.0])
@pytest.mark.parametrize("last", [1.0, 1 + 1e-7])
def test_equal_units_without_bounds_say_nothing(threshold, last):
    """Three equal numbers, but for rounding: of no width, whatever the threshold."""
    found = verdict(">=", threshold, [[1.0], [1.0], [last]])
    assert found.verdict == "inconclusive" and found.p == 1
    assert found.note == "all 3 units are equal: no spread to judge by"
    assert np.isnan([found.low, found.high]).all() and found.estimate == pytest.approx(1)


def test_equal_units_count_among_many_claims():
    """p is 0.03 alone; beside a claim that was tested and says nothing it is twice that."""
    tested = verdict(">", 0.0, [[0.65], [1.0], [1.35]])
    assert tested.verdict == "holds" and 0.025 < tested.p < 0.05
    flat = verdict(">", 0.0, [[1.0], [1.0], [1.0]])
    assert judged_together([tested, flat])[0].together == "inconclusive"


def test_what_a_statistic_notes_stands_first():
    entry = claim(">", 0.0, [[0.5], [1.0], [NAN]])
    noted = replace(entry, compute=lambda r: entry.compute(r).assign_attrs({NOTE: "4 beside 2"}))
    assert judge_claim(noted, xr.Dataset()).note == "4 beside 2; 1 of 3 statistics are missing"


def test_equal_units_of_a_bounded_statistic_have_an_interval():
    """Three shares of 1: of further units at least 0.025^(1/3) = 0.29 are so, the rest anything."""
    measured = xr.DataArray([1.0, 1.0, 1.0], dims="stream")
    entry = Claim(
        "c",
        "It is so.",
        "us",
        "A share.",
        ">=",
        0.9,
        lambda _: measured,
        "none",
        "No.",
        bounds=(0, 1),
    )
    found = judge_claim(entry, xr.Dataset())
    assert (found.estimate, found.high, found.verdict) == (1, 1, "inconclusive")
    assert found.low == pytest.approx(0.025 ** (1 / 3))
    assert found.note == "all 3 units are equal" and "within 0 to 1" in found.interval
    assert judge_claim(replace(entry, threshold=0.2), xr.Dataset()).verdict == "holds"
    many = replace(entry, compute=lambda _: counted(measured, [20, 28]))
    found = judge_claim(many, xr.Dataset())
    assert found.verdict == "holds" and found.low == pytest.approx(0.025 ** (1 / 144))


def test_a_p_value_of_a_bounded_statistic_agrees_with_its_interval():
    measured = xr.DataArray([0.7, 0.8, 0.95], dims="stream")
    entry = Claim(
        "c",
        "It is so.",
        "us",
        "A share.",
        ">=",
        0.5,
        lambda _: measured,
        "none",
        "No.",
        bounds=(0, 1),
    )
    found = judge_claim(entry, xr.Dataset())
    for move, outside in ((-1e-6, True), (1e-6, False)):
        p = judge_claim(replace(entry, threshold=found.low + move), xr.Dataset()).p
        assert p == pytest.approx(0.05, abs=1e-4) and (p < 0.05) == outside


@pytest.mark.parametrize(("units", "word"), [([1, 1], "holds"), ([1, 0.99], "fails")])
def test_a_check_holds_if_it_does_for_every_unit(units, word):
    measured = xr.DataArray(units, dims="stream")
    entry = Claim(
        "c", "So.", "us", "A share.", ">=", 1.0, lambda _: measured, "none", "No.", theorem=True
    )
    found = judge_claim(entry, xr.Dataset())
    assert (found.verdict, found.together) == (word, word)
    assert np.isnan([found.low, found.high, found.p]).all()
    assert judged_together([found, found])[0].together == word


def test_left_out_statistics_are_noted():
    found = verdict(">=", 0.5, [[0.9, NAN], [0.91, 0.91]])
    assert found.verdict == "holds"
    assert found.note.endswith("1 of 4 statistics are missing")
    assert verdict(">=", 0.5, [[NAN, NAN]]).verdict == "not tested"


def test_verdicts_are_plain_json():
    found = verdict(">=", 0.5, [[0.9]]).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["low"] is None
    expected = {"verdict": "inconclusive", "estimate": 0.9, "threshold": 0.5, "relation": ">="}
    assert expected.items() <= found.items()
    assert {"units", "covers", "streams", "initialisations", "note", "source"} <= found.keys()


def test_points_that_cannot_test_are_left_out():
    results = xr.Dataset({"loss": (("stream", "batch"), [[1.0, 2.0, 3.0]])})

    def odd(point):
        if point["loss"].item() == 2:
            raise NotTested("even")
        return point["loss"]

    assert over_points(results, odd)["point"].size == 2
    with pytest.raises(NotTested, match="even"):
        over_points(results.isel(batch=[1]), odd)


def test_points_may_have_different_cycles():
    results = xr.Dataset({"lag": (("gap", "task"), [[1.0, NAN], [NAN, 3.0]])}, {"task": [0, 9]})
    found = over_points(results, lambda point: point["lag"].dropna("task"))
    assert found.sum() == 4


def test_a_study_without_a_finished_run_tests_nothing(mixed, burst):
    for results in (mixed(), burst()):
        results["finished"] = results["finished"] & False
        for found in judge(results):
            assert found.verdict == "not tested"
            assert "runs have not finished" in found.note


@pytest.mark.parametrize("name", CLAIMS)
def test_missing_variables_are_named(name):
    empty = xr.Dataset(coords={"size": [1, 2]})
    (found,) = judge(empty, [name])
    assert found.verdict == "not tested"
    assert found.note.startswith("the results hold no ")
    assert np.isnan(found.estimate)


def test_single_students_are_inconclusive(mixed, burst, students, under, competition):
    alone = {"streams": 1, "initialisations": 1}
    adamw, descent = (burst((own,) * 3, **alone) for own in students[1:])
    studies = (
        mixed(**alone),
        mixed(**alone, betas=(2.0,), block=1, widths=(1, 2, 4, 6)),
        mixed(**alone, betas=(1.0,), exponents=(1.2, 4.0), tasks=16, block=16, widths=(16, 40)),
        burst(**alone),
        under(adamw=adamw, sgd=descent),
        competition(**alone),
        made_parity.parity(**alone),
        made_control.results((0.3, 0.6), (0.2, 0.2), streams=1),
        made_arms.results(made_arms.FORGOTTEN, streams=1, widths=made_arms.WIDTHS),
        made_arms.with_sham(made_arms.results(made_arms.HELD_STILL, streams=1)),
        made_branches.results(streams=1),
        made_once_known.results(made_once_known.LATE_SMALL, ((20, 50, 60), (160,) * 3), streams=1),
        made_block_effects.study(streams=1),
        made_language.language(**alone),
        made_language.gaps(**alone),
        made_injection.with_sham(made_injection.study(**alone)),
        made_control.with_sham(mixed(**alone)),
        made_representation.representation(streams=1).isel(initialisation=[0]),
    )
    tested = set()
    for results in studies:
        for found in judge(results):
            check = CLAIMS[found.claim].theorem  # a theorem can be checked on one student
            assert found.verdict in ("holds" if check else "inconclusive", "not tested")
            if found.verdict != "not tested":
                tested.add(found.claim)
                assert np.isfinite(found.estimate)
    assert tested == set(CLAIMS)


def test_initialisations_of_one_stream_are_said_to_be_no_streams(burst):
    for found in judge(burst(streams=1, initialisations=3), ["wide_accumulates"]):
        assert found.verdict == "holds"
        assert (found.covers, found.streams, found.units) == ("initialisations", 1, 3)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ("", "batches, initial weights and tasks"),
        ("weights", "batches and tasks"),
        ("weights, tasks", "batches alone"),
    ],
)
def test_what_streams_have_in_common_is_not_said_to_be_covered(burst, held, words):
    (found,) = judge(burst().assign_attrs(held=held), ["wide_accumulates"])
    assert (found.covers, found.differ) == ("streams", words)


def test_streams_that_disagree_are_inconclusive(burst, students):
    narrow, middle, wide = students
    results = burst()
    other = burst((wide, middle, narrow))
    results["signal"][1] = other["signal"][1]
    assert judge(results, ["wide_accumulates"])[0].verdict == "inconclusive"


def test_every_claim_says_what_it_is():
    for name, entry in CLAIMS.items():
        assert entry.name == name
        assert entry.statement.endswith(".")
        assert entry.statistic.endswith(".")
        assert entry.source
        assert "Student" in entry.interval or entry.theorem


ACCOUNTS = {"capacity", "acquisition", "retention", "none"}


def test_every_claim_says_what_it_speaks_for_and_what_would_be_against_it():
    """In a sentence of its own, that says more than that the claim would not hold."""
    for name, entry in CLAIMS.items():
        assert entry.account in ACCOUNTS and entry.kind in ("claim", "check"), name
        assert entry.kind == "claim" or entry.account == "none", name
        assert entry.against.endswith(".") and len(entry.against.split()) >= 9, name
        assert not {"threshold", "statistic"} & set(entry.against.lower().split()), name
    assert len({entry.against for entry in CLAIMS.values()}) == len(CLAIMS)


def test_what_cannot_fail_is_a_check():
    """Theorems, expansions, tasks that are most of a batch, orders of exposures, training."""
    assert {name for name, entry in CLAIMS.items() if entry.kind == "check"} == {
        "common_gradient_bound",
        "injection_gradient_points_to_the_task",
        "frequency_orders_learning",
        "parities_learned_by_frequency",
        "learns_text",
        "protection_keeps_the_level",
        "protection_of_another_changes_nothing",
        "protecting_another_gives_nothing",
        "holding_still_teaches_nothing",
        "first_order_change",
        "two_orders_explain_changes",
    }


def test_verdicts_come_in_the_order_asked_for(mixed):
    names = ["prediction", "staircase"]
    assert [found.claim for found in judge(mixed(), names)] == names
    assert len(judge(mixed())) == len(CLAIMS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["prediction", "stair_case"],
            "claims[1]: unknown claim 'stair_case'; did you mean 'staircase'?",
        ),
        (["qqq"], "claims[0]: unknown claim 'qqq'; the claims are staircase, prediction, "),
        (["prediction", "prediction"], "claims[1]: claim 'prediction' is listed twice"),
    ],
)
def test_names_are_checked(names, message):
    for check in (check_names, lambda chosen: judge(xr.Dataset(), chosen)):
        with pytest.raises(ConfigError) as error:
            check(names)
        assert str(error.value).startswith(message)


def test_runs_of_sizes_that_were_trained_apart_are_counted_apart(burst):
    results = burst()
    streams, sizes = results.sizes["stream"], results["size"].to_numpy()
    whole = xr.ones_like(results["finished"], bool)
    some = whole.expand_dims(size=sizes).copy()
    some.loc[{"stream": 0, "size": sizes[0]}] = False
    gaps = whole.size // streams
    apart = judge(results.assign(finished=some))
    assert f"{gaps} of {whole.size * len(sizes)} runs have not finished" in apart[0].note
    some.loc[{"stream": 0}] = False
    together = judge(results.assign(finished=some))
    assert f"{gaps} of {whole.size} runs have not finished" in together[0].note


def test_many_claims_share_one_error():
    """Of three that hold alone the weakest does not stand beside the others."""
    rows = [[0.0, 1.0, 2.0], [0.4, 1.0, 1.6], [0.9, 1.0, 1.1]]
    alone = [
        verdict(">", t, np.array(r)[:, None]) for r, t in zip(rows, (-1.6, -0.6, 0.0), strict=True)
    ]
    assert [each.verdict for each in alone] == ["holds"] * 3
    assert [round(each.p, 3) for each in alone] == [0.046, 0.044, 0.003]
    together = judged_together(alone)
    assert [each.together for each in together] == ["inconclusive", "inconclusive", "holds"]
    assert [each.verdict for each in together] == ["holds"] * 3
    assert judged_together(alone[:1])[0].together == "holds"


def test_checks_do_not_count_among_many_claims():
    """Two checks beside a claim that holds: it holds together with them, whatever they say."""
    rows = [[0.0, 1.0, 2.0], [0.4, 1.0, 1.6], [0.4, 1.0, 1.6]]
    kinds, limits = ("claim", "check", "check"), (-1.6, -0.6, 3.0)
    alone = [
        verdict(">", t, np.array(r)[:, None], kind=k)
        for r, t, k in zip(rows, limits, kinds, strict=True)
    ]
    together = judged_together(alone)
    assert [each.together for each in together] == ["holds", "holds", "fails"]
    assert [each.word for each in together] == ["holds", "passed", "failed"]
