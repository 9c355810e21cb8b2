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


def test_the_trunk_has_none_of_a_branchs_states():
    results = made_branches.results()
    own = states.trunk(results)
    assert own["step"].to_numpy().tolist() == [0, 40]
    assert "turn" not in own and "branch" not in own.coords
