import json

import made_branches
import numpy as np
import pytest
import tiny
import xarray as xr
from etils import epath

from rare_retention.evidence import states
from rare_retention.study import execute as execution
from rare_retention.study.claims import CLAIMS, judge
from rare_retention.study.execute import execute
from rare_retention.study.results import gather

KEEPS, ANOTHER = "protection_keeps_the_level", "protection_of_another_changes_nothing"
SAVES, SLOWER = "savings_grow_with_size", "larger_forgets_slower"
ONCE = "larger_forgets_slower_once_known"  # needs several quiet branches: evidence/test_once_known
ALL = tuple(name for name, entry in CLAIMS.items() if entry.branches and name != ONCE)
FORGET = (100, 150)  # half-lives after which less than a quarter is left of 400 steps


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


def logistic(starts, rates=(0.02, 0.02), streams=6):
    """Levels whose margins fall by a rate each step, from starts that differ between streams."""
    made = made_branches.results(starts=starts, streams=streams)
    noise = 0.05 * np.random.default_rng(1).standard_normal((streams, 2))
    start = xr.DataArray(
        np.log(starts) - np.log1p(-np.array(starts)) + noise, dims=("stream", "size")
    )
    margin = start - xr.DataArray(list(rates), dims="size") * (made["step"] - made_branches.TURN)
    level = 1 / (1 + np.exp(-margin))
    quiet = (made["branch"] == "quiet") & (made["step"] >= made_branches.TURN)
    signal = made["signal"].where(~quiet | made["signal"].isnull(), level)
    return made.assign(signal=signal.transpose(*made["signal"].dims))


def test_one_law_from_unequal_starts_is_no_slower_forgetting():
    """Margins fall alike; from 0.99 it takes longer to half of the level than from 0.70."""
    found = verdict(logistic((0.70, 0.99)))
    assert found.verdict == "not tested"
    assert "no size starts within 0.1 of the largest where branch quiet begins" in found.note
    assert "0.7 at 8, 0.99 at 9" in found.note
    low = verdict(made_branches.results((60, 60), starts=(0.2, 0.9)))
    assert low.verdict == "not tested"


def test_unequal_half_lives_from_equal_starts_are():
    found = verdict(logistic((0.9, 0.9), (0.05, 0.01)))
    assert found.verdict == "holds" and found.estimate == pytest.approx(np.log2(5), abs=0.1)
    assert found.note == "size 9 beside 8"


def test_the_largest_size_is_compared_with_the_smallest_that_starts_where_it_does():
    """Of three sizes the smallest starts lower, and forgets at once: it is not compared."""
    made = made_branches.results((5, 50, 200), (0.7, 0.95, 0.99), (200,) * 3, (0.1, 0.2, 0.5))
    found = verdict(made)
    assert found.note == "size 10 beside 9" and found.estimate == pytest.approx(2, abs=0.05)


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
    found = verdict(made_branches.results(starts=(0.01, 0.04)))
    assert found.verdict == "not tested"
    assert "the largest size has nothing to forget where branch quiet begins" in found.note
    assert verdict(made_branches.results(starts=(0.01, 0.08))).verdict == "not tested"


def test_without_a_branch_there_is_nothing_to_compare():
    results = made_branches.results().assign_attrs(study='{"branches": []}')
    assert "it must add one" in verdict(results).note


def test_protected_levels_are_checked():
    found = verdict(made_branches.results(FORGET), KEEPS)
    assert found.verdict == "holds" and found.kind == "check"
    fades = made_branches.results((20, 20))
    assert verdict(fades, KEEPS).verdict == "fails"


@pytest.mark.parametrize("name", [KEEPS, ANOTHER])
def test_where_nothing_is_forgotten_protection_is_not_tested(name):
    """Levels that stay whatever is done passed both checks."""
    found = verdict(made_branches.results((1e5, 1e5)), name)
    assert found.verdict == "not tested"
    assert found.note.startswith("every size keeps 1 of its level or more without protection")
    nothing = verdict(made_branches.results(starts=(0.01, 0.02)), name)
    assert nothing.note == "no size holds anything that protection could keep"


def test_sizes_that_forget_little_do_not_count():
    """The large one keeps all without protection; the small one loses it with protection too."""
    found = verdict(made_branches.results((20, 1e5)), KEEPS)
    assert found.verdict == "fails" and found.estimate == pytest.approx(0.25, abs=0.02)


def test_a_stream_that_starts_with_next_to_nothing_does_not_decide_what_is_kept():
    """0.9 in five streams; in the sixth 1e-4, of which what ends there is 3000 times as much."""
    made = made_branches.results(FORGET, streams=6)
    place = {"stream": 5, "step": made["step"] == made_branches.TURN, "task": 1}
    made["signal"][{**place, "branch": slice(1, None)}] = 1e-4
    found = verdict(made, KEEPS)
    assert found.units == 6 and 0.5 < found.estimate < 1.1


@pytest.mark.parametrize(("apart", "word"), [(0.0, "holds"), (0.2, "fails")])
def test_protection_of_another_task_is_compared_with_none(apart, word):
    made = made_branches.results(FORGET, apart=apart)
    stream = xr.DataArray(np.arange(3.0), dims="stream")  # streams that are alike say nothing
    along = (made["branch"] == "along another") * 1e-3 * stream
    made["signal"] = (made["signal"] + along).transpose(*made["signal"].dims)
    found = verdict(made, ANOTHER)
    assert found.verdict == word and found.kind == "check"


def test_the_size_that_another_tasks_protection_changes_most_counts():
    """A mean over two sizes would pass 0.05 at one of them."""
    made = made_branches.results(FORGET)
    changed = (made["branch"] == "along another") & (made["size"] == 9)
    made["signal"] = (made["signal"] + 0.05 * changed).transpose(*made["signal"].dims)
    found = verdict(made, ANOTHER)
    assert found.estimate == pytest.approx(0.05, abs=1e-6) and found.verdict != "holds"


def test_each_branch_is_compared_with_the_quiet_one_from_its_own_state():
    """A quiet branch that another state was left for, and listed first, is none of it."""
    made = made_branches.results(FORGET)
    late = made.sel(branch=["quiet"]).assign_coords(branch=["later"])
    late["signal"] = late["signal"] * 0 + 0.9
    both = xr.concat([made, late], "branch", data_vars="minimal")
    described = json.loads(made.attrs["study"])
    own = {**described["branches"][1], "name": "later", "at": 99}
    described["branches"].insert(1, own)
    found = verdict(both.assign_attrs(study=json.dumps(described)), ANOTHER)
    assert found.estimate == pytest.approx(0, abs=1e-6)


def test_branches_of_unequal_length_are_compared_where_both_go_on():
    made = made_branches.results((20, 30))
    early = made["step"] <= made_branches.TURN + 200
    for name in ("signal", "loss"):
        made[name] = made[name].where(early | (made["branch"] != "along another"))
    assert verdict(made, ANOTHER).estimate == pytest.approx(0, abs=1e-6)


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


def unfinished(made, stream=1):
    """As `gather` has a stream of which no branch has begun, nor its run ended."""
    results = made.copy(deep=True)
    results["finished"][{"stream": stream}] = False
    begun = results["branch"] == "trunk"
    for name in ("signal", "loss", "turn", "exposure_step"):
        here = begun | (results["stream"] != stream)
        results[name] = results[name].where(here).transpose(*made[name].dims)
    return results


@pytest.mark.parametrize("name", ALL)
def test_a_stream_that_has_not_finished_leaves_the_others(name):
    made = made_branches.results(FORGET, streams=4, noise=0.1).assign_coords(stream=range(4))
    found, whole = verdict(unfinished(made), name), verdict(made, name)
    assert whole.units == 4 and found.units == 3, found
    assert found.verdict == verdict(made.isel(stream=[0, 2, 3]), name).verdict
    assert found.estimate == pytest.approx(verdict(made.isel(stream=[0, 2, 3]), name).estimate)


@pytest.mark.parametrize("name", ALL)
def test_where_no_branch_has_finished_nothing_is_tested(name):
    made = made_branches.results(FORGET, streams=2)
    made["finished"] = made["finished"] & (made["branch"] == "trunk")
    made["turn"] = made["turn"] * np.nan
    found = verdict(made, name)
    assert found.verdict == "not tested" and found.note


@pytest.mark.parametrize("name", ALL)
def test_a_failed_branch_of_one_stream_leaves_the_others(name):
    """Its unit has begun and failed: it is measured half way, and not finished."""
    made = made_branches.results(FORGET, streams=4, noise=0.1).assign_coords(stream=range(4))
    for branch in made["branch"].to_numpy()[1:]:
        made["finished"].loc[{"stream": 1, "branch": branch}] = False
    late = (made["step"] > made_branches.TURN + 100) & (made["stream"] == 1)
    made["signal"] = made["signal"].where(~late).transpose(*made["signal"].dims)
    found = verdict(made, name)
    assert found.units == 3 and "runs have not finished" in found.note


def with_control(made):
    """The study in two arms, in which students without the task have a fifth of it all the same."""
    null = made.assign(
        signal=made["signal"] * 0 + 0.2, exposure_step=made["exposure_step"] * np.nan
    )
    shown = made.assign(signal=made["signal"] + 0.2)
    both = xr.concat([shown, null], "left_out", data_vars="all").assign_coords(
        left_out=["()", "(-1,)"]
    )
    both["finished"] = both["finished"].transpose("stream", "left_out", ...)
    return both


@pytest.mark.parametrize("name", [SLOWER, KEEPS, ANOTHER])
def test_levels_are_above_the_control_which_is_no_point_of_its_own(name):
    """Of what stands at 0.2 in any student nothing is forgotten, and half is reached later."""
    made = made_branches.results(FORGET, starts=(0.7, 0.7))
    found, expected = verdict(with_control(made), name), verdict(made, name)
    assert found.verdict == expected.verdict
    assert found.estimate == pytest.approx(expected.estimate, abs=1e-6)


def test_savings_are_of_the_raw_level_and_of_no_control():
    made = made_branches.results(learn=(250, 125), noise=0.2, streams=6)
    found, expected = verdict(with_control(made), SAVES), verdict(made, SAVES)
    assert (found.units, found.verdict) == (expected.units, expected.verdict)


def test_a_study_in_progress_is_judged(tmp_path, monkeypatch):
    """Streams of which one has been trained, one has failed, and one has not begun."""
    out = {"field": "exposure.left_out", "value": (-1,)}
    rule = {"field": "rule.kind", "value": "protection"}
    study = tiny.study(
        streams=3,
        branches=(
            {"name": "quiet", "after_exposure": 2, "steps": 24, "changes": (out,)},
            {"name": "protected", "after_exposure": 2, "steps": 24, "changes": (out, rule)},
        ),
        run__measure__every=4,
    )
    workdir, train = epath.Path(tmp_path), execution.train
    assert execute(study, workdir, only="stream=0").finished == 1
    assert verdict(gather(study, workdir)).verdict == "not tested"
    assert execute(study, workdir, only="stream=0,branch=quiet").finished == 1
    assert execute(study, workdir, only="stream=0,branch=protected").finished == 1

    def diverge(run, *arguments, **more):
        raise FloatingPointError("the loss is not finite")

    monkeypatch.setattr(execution, "train", diverge)
    assert execute(study, workdir, only="stream=1").failed
    monkeypatch.setattr(execution, "train", train)
    results = gather(study, workdir)
    assert not states.finished(results)["signal"].isel(stream=1).notnull().any()
    for name in ALL:
        assert verdict(results, name).verdict in ("inconclusive", "not tested"), name
    assert execute(study, workdir, only="stream=2").finished == 1  # its branches have not begun
    results = gather(study, workdir)
    assert "no size starts within" in verdict(results).note
    assert "every size keeps" in verdict(results, KEEPS).note
