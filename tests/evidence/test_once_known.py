"""Curves of forgetting from the branch at whose start each student first knows the task."""

import json

import numpy as np
import pytest
from made_once_known import AGES, LATE_SMALL, results

from rare_retention.evidence import once_known
from rare_retention.study.claims import CLAIMS
from rare_retention.study.claims.verdict import judge_claim


def test_each_student_goes_on_from_the_earliest_state_that_knows_the_task():
    made = results(LATE_SMALL, ((20, 50, 90), (60, 150, 400)))
    found = once_known.curves(made, None, [f"quiet {age}" for age in AGES], 0.9)
    mean = found.mean(("stream", "initialisation"))
    np.testing.assert_allclose(mean["turn"], [200, 100])
    np.testing.assert_allclose(mean["start"], [0.92, 0.95])
    np.testing.assert_allclose(mean["half_life"], [50, 60], rtol=0.05)
    assert not found["censored"].any()


def test_who_never_knows_it_has_no_half_life():
    made = results(((0.3, 0.5, 0.6), (0.95, 0.99, 1.0)), ((20, 50, 90), (60, 150, 4000)))
    found = once_known.curves(made, None, [f"quiet {age}" for age in AGES], 0.9)
    assert found["half_life"].isel(size=0).isnull().all()
    late = once_known.curves(made, None, ["quiet 300"], 0.9)
    assert late["censored"].isel(size=1).all() and not late["censored"].isel(size=0).any()


def test_a_stream_without_one_of_the_branches_leaves_the_others():
    made = results(LATE_SMALL, ((20, 50, 90), (60, 150, 400)))
    cut = (made["stream"] == 1) & (made["branch"] == "quiet 300")
    made["signal"] = made["signal"].where(~cut).transpose(*made["signal"].dims)
    found = once_known.curves(made, None, [f"quiet {age}" for age in AGES], 0.9)
    assert found["known"].isnull().sum("stream").values.ravel().tolist() == [1, 1]
    assert found["half_life"].isel(stream=1).isnull().all()
    assert verdict(made).units == 7
    early = made["branch"] != "quiet 300"
    made["signal"] = made["signal"].where(early).transpose(*made["signal"].dims)
    assert verdict(made).verdict == "not tested"


def verdict(made, name="larger_forgets_slower_once_known"):
    return judge_claim(CLAIMS[name], made)


@pytest.mark.parametrize(("large", "word"), [((60, 150, 400), "fails"), ((160, 170, 170), "holds")])
def test_what_lasts_longer_for_being_trained_on_longer_is_no_slower_forgetting(large, word):
    """By the last branch alone, from equal levels, the large one forgets more slowly in both."""
    made = results(LATE_SMALL, ((20, 50, 60), large))
    found = verdict(made)
    assert found.verdict == word and found.note == "size s1 beside s0"
    assert found.estimate == pytest.approx(np.log2(large[0] / 50), abs=0.1)
    alone = made.isel(branch=[0, 3])
    own = json.loads(made.attrs["study"])["branches"][-1:]
    alone.attrs["study"] = json.dumps({"branches": own})
    assert verdict(alone, "larger_forgets_slower").verdict == "holds"


def test_sizes_that_do_not_all_learn_are_passed_over():
    starts = ((0.3, 0.5, 0.6), *LATE_SMALL)
    made = results(starts, ((20, 20, 20), (20, 50, 60), (160, 180, 190)))
    assert verdict(made).note == "size s2 beside s1"
    never = results(((0.3, 0.5, 0.6), (0.3, 0.5, 0.6)), ((20, 50, 60), (60, 150, 400)))
    found = verdict(never)
    assert found.verdict == "not tested" and "at these sizes: none" in found.note
    one = made.isel(branch=[0, 3])
    one.attrs["study"] = json.dumps({"branches": json.loads(made.attrs["study"])["branches"][-1:]})
    assert "from several of them" in verdict(one).note
