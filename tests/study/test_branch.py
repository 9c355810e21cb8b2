"""Where a branch goes on, what it changes, and what is refused."""

import pytest
import tiny

from rare_retention.config import ConfigError
from rare_retention.study import branch as module
from rare_retention.study.axes import Also, Axis
from rare_retention.study.branch import Branch, Change
from rare_retention.study.grid import Study, units

RUN = tiny.run()  # bursts in batches 7, 15, 23, 31, 39 and 47


def test_a_branch_goes_on_at_a_step_or_just_after_an_exposure():
    shown = module.exposures(RUN)
    assert shown == [7, 15, 23, 31, 39, 47]
    at = {n: module.start(Branch(name="a", after_exposure=n, steps=4), RUN, shown) for n in (0, -1)}
    assert at == {0: 8, -1: 48}
    assert module.start(Branch(name="a", at=11, steps=4), RUN, shown) == 11


def test_a_control_goes_on_where_the_task_would_be_shown():
    control = tiny.run(exposure__left_out=(-1,))
    assert module.exposures(control) == module.exposures(RUN)
    quiet = module.going_on(
        Branch(
            name="a", at=20, steps=12, changes=(Change(field="exposure.left_out", value=(-1,)),)
        ),
        RUN,
        20,
    )
    assert module.exposures(quiet, module.exposures(RUN)) == [7, 15]


def test_exposures_of_a_branch_are_those_of_its_run_and_then_its_own():
    change = Change(field="exposure.gap", value=5)
    other = module.going_on(Branch(name="a", at=20, steps=12, changes=(change,)), RUN, 20)
    assert (other.start, other.steps) == (20, 32)
    own = other.schedule().exposures(20, 32, -1).tolist()
    assert module.exposures(other, module.exposures(RUN)) == [7, 15, *own]


def test_changes_of_what_is_measured_are_no_change_of_the_recipe():
    changes = (
        Change(field="measure.every", value=2),
        Change(field="optimizer.peak", value=0.5),
    )
    run = module.going_on(Branch(name="a", at=20, steps=4, changes=changes), RUN, 20)
    assert run.measure.every == 2 and run.optimizer.peak == 0.5
    (turn,) = run.turns
    assert turn.step == 20 and [line.partition(":")[0] for line in turn.changed] == [
        "optimizer.peak"
    ]


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        ({"name": "a", "at": 48, "steps": 4, "of": "b"}, r"branches\[0\].of: there is no 'b'"),
        ({"name": "trunk", "at": 8, "steps": 4}, "a name of its own"),
        ({"name": "a", "steps": 4}, "either `at` or `after_exposure`"),
        (
            {"name": "a", "at": 8, "steps": 4, "changes": ({"field": "stream", "value": 1},)},
            "the same in a run and its branches",
        ),
    ],
)
def test_branches_that_cannot_be_are_refused(branch, message):
    with pytest.raises(ConfigError, match=message):
        tiny.study(branches=(branch,))


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        ({"name": "a", "at": 49, "steps": 4}, r"branches\[0\].at: step 49 is none of the run's"),
        ({"name": "a", "after_exposure": 6, "steps": 4}, "6, but the run has 6 exposures"),
        (
            {"name": "a", "at": 8, "steps": 4, "changes": ({"field": "exposure.gab", "value": 1},)},
            r"branches\[0\].exposure.gab: .*did you mean",
        ),
    ],
)
def test_a_state_that_a_run_has_not_is_refused(branch, message):
    with pytest.raises(ConfigError, match=message):
        units(tiny.study(branches=(branch,)))


GRID = (
    Axis(field="exposure.gap", values=(4, 8)),
    Axis(field="rule.after", values=(0, 9), also=(Also(field="optimizer.clip", values=(1, 2)),)),
)


def branching_off(field, value, grid=GRID):
    change = Change(field=field, value=value)
    run = tiny.run(rule__kind="protection")
    return Study(
        name="x", run=run, grid=grid, branches=(Branch(name="b", at=8, steps=4, changes=(change,)),)
    )


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("exposure.gap", "exposure.gap"),
        ("exposure", "exposure.gap"),
        ("optimizer.clip", "optimizer.clip"),
        ("rule.after.more", "rule.after"),
        ("setting.widths", "setting.widths"),
    ],
)
def test_a_branch_that_leaves_its_place_in_the_results_is_refused(field, place):
    message = (
        rf"branches\[0\].changes\[0\].field: branch 'b' changes {field}, but {place} says where its"
    )
    with pytest.raises(ConfigError, match=message):
        branching_off(field, 5)


def test_another_kind_that_sets_a_place_back_is_refused():
    """Rules are frozen after 20 steps by default, whatever the grid has set."""
    study = branching_off("rule.kind", "freezing")
    message = r"branches\[0\].changes: branch 'b' changes rule.after, but rule.after says"
    with pytest.raises(ConfigError, match=message):
        units(study)


def test_a_task_may_be_left_out_beside_its_control_but_not_shown_in_it():
    arms = (Axis(field="exposure.left_out", values=((), (-1,))),)
    found = {unit.name: unit.run for unit in units(branching_off("exposure.left_out", (-1,), arms))}
    assert {run.exposure.left_out for name, run in found.items() if "branch=b" in name} == {(-1,)}
    with pytest.raises(ConfigError, match=r"branch 'b' changes exposure\.left_out, but"):
        branching_off("exposure.left_out", (), arms)


def test_a_branch_may_change_what_stands_beside_its_place():
    assert len(units(branching_off("exposure.left_out", (-1,)))) == 8
    assert len(units(branching_off("exposure.placement", "even"))) == 8
    assert len(units(branching_off("exposure.gap", 5, grid=()))) == 2
