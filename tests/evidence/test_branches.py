import made_branches
import numpy as np
import xarray as xr

from rare_retention.evidence import branches, forgetting, states


def test_branches_are_told_by_what_they_change():
    """A branch that shows the task for the first time leaves out another one: it is not quiet."""
    results = made_branches.results()
    assert branches.changed(results)["quiet"] == {"exposure.left_out": [-1, -2]}
    assert branches.quiet(results) == ["quiet"]
    assert branches.protected(results) == ["protected"]
    assert branches.protected(results, another=True) == ["along another"]
    assert branches.relearned(results) == [("shown", "again")]
    assert branches.changed(results.assign_attrs(study="{}")) == {}


def test_tasks_left_out_are_counted_without_those_of_frequency_0():
    """-1 is the last task that has a frequency; here a sham stands behind it."""
    results = made_branches.results()
    more = xr.full_like(results.isel(task=[0]), np.nan).assign_coords(task=["never"])
    more["frequency"] = xr.DataArray([0.0], [("task", ["never"])])
    wider = xr.concat([results, more[["signal", "loss", "frequency"]]], "task", data_vars="minimal")
    assert branches.quiet(wider.assign_attrs(results.attrs)) == ["quiet"]


def test_levels_are_counted_from_each_streams_own_turn():
    """Streams that turn off at steps of their own are compared at equal distances."""
    (point,) = branches.points(made_branches.results(shift=7))
    level = branches.level(point, "quiet")
    assert level["step"].to_numpy().tolist() == list(made_branches.STEPS)
    np.testing.assert_allclose(level.isel(step=0), 0.9)
    found = forgetting.curves(level)
    lives = found["half_life"].isel(initialisation=0).mean("stream")
    np.testing.assert_allclose(lives, [50, 200], rtol=0.05)


def test_a_branch_and_the_same_without_its_rule_begin_at_one_state():
    results = made_branches.results()
    assert branches.bare(results, "protected") == "quiet"
    assert branches.bare(results, "along another") == "quiet"
    assert branches.bare(results, "quiet") is None
    moved = results.attrs["study"].replace('"of": "shown"', '"of": "trunk"', 1)
    assert branches.bare(results.assign_attrs(study=moved), "protected") is None


def test_streams_that_have_no_states_are_missing_and_take_no_steps_away():
    results = made_branches.results(shift=7).assign_coords(stream=[3, 4, 5])
    gone = (results["stream"] == 4) & (results["branch"] == "quiet")
    lost = results.assign(
        signal=results["signal"].where(~gone).transpose(*results["signal"].dims),
        turn=results["turn"].where(~gone),
    )
    (point,) = branches.points(lost)
    level = branches.level(point, "quiet")
    assert level["step"].to_numpy().tolist() == list(made_branches.STEPS)
    assert level["stream"].to_numpy().tolist() == [3, 4, 5]
    there = level.notnull().all([d for d in level.dims if d != "stream"])
    assert there.values.tolist() == [True, False, True]
    nothing = branches.level(point.assign(signal=point["signal"] * np.nan), "quiet")
    assert nothing.sizes["step"] == 0 and nothing.dims == level.dims


def with_sham(results, name="rare 2", value=0.1):
    """A watched task that was never shown, of which each student has as much at any step."""
    signal = results["signal"].sel(task=["rare"]) * 0 + value
    more = results.sel(task=["rare"], watch=["rare"]).assign(signal=signal)
    more["frequency"] = more["frequency"] * 0
    more["exposure_step"] = more["exposure_step"] * np.nan
    more = more.assign_coords(task=[name], watch=[name])[
        ["signal", "loss", "frequency", "exposure_step"]
    ]
    both = {
        key: xr.concat([results[key], more[key]], "watch" if key == "exposure_step" else "task")
        for key in more
    }
    return results.drop_dims(["task", "watch"]).assign(both)


def test_levels_are_above_those_of_a_sham_of_the_same_kind():
    (point,) = branches.points(with_sham(made_branches.results()))
    assert branches.shams(point.sel(branch="quiet", drop=True)) == ["rare 2"]
    raw, above = branches.level(point, "quiet"), branches.above(point, "quiet")
    np.testing.assert_allclose(above, raw - 0.1)
    (other,) = branches.points(with_sham(made_branches.results(), "recall"))
    np.testing.assert_array_equal(branches.above(other, "quiet"), raw)
    # The loss of a task that is never shown goes anywhere: nothing is below guessing.
    (lower,) = branches.points(with_sham(made_branches.results(), value=-3.0))
    np.testing.assert_array_equal(branches.above(lower, "quiet"), raw)


def test_a_task_that_was_shown_before_the_branch_is_no_sham():
    results = with_sham(made_branches.results())
    results["exposure_step"].loc[{"watch": "rare 2", "branch": "quiet"}] = 3.0
    (point,) = branches.points(results)
    np.testing.assert_array_equal(branches.above(point, "quiet"), branches.level(point, "quiet"))


def two_arms(results):
    null = results.assign(
        signal=results["signal"] * 0 + 0.2, exposure_step=results["exposure_step"] * np.nan
    )
    both = xr.concat([results, null], "left_out", data_vars="all")
    return both.assign_coords(left_out=["()", "(-1,)"])


def test_controls_are_no_points_and_stand_beside_theirs():
    results = made_branches.results()
    [(point, own)] = branches.pairs(two_arms(results))
    assert point["left_out"].item() == "()" and own["left_out"].item() == "(-1,)"
    assert len(branches.points(two_arms(results))) == 1
    above = branches.above(point, "quiet", own)
    np.testing.assert_allclose(above, branches.level(point, "quiet") - 0.2)
    waiting = two_arms(results)
    waiting["frequency"][{"left_out": 1}] = np.nan
    assert branches.pairs(waiting) == []  # what has not begun may be the control


def test_the_trunk_has_none_of_a_branchs_states():
    results = made_branches.results()
    own = states.trunk(results)
    assert own["step"].to_numpy().tolist() == [0, 40]
    assert "turn" not in own and "branch" not in own.coords
