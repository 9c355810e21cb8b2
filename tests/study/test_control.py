"""A study with its control: the same students on the same streams with the rare task left out."""

import dataclasses

import numpy as np
import pytest
import tiny
import xarray as xr
from etils import epath

from rare_retention.flags import load
from rare_retention.record.manifest import read_manifest
from rare_retention.report.build import build
from rare_retention.study.axes import Axis
from rare_retention.study.claims import judge
from rare_retention.study.execute import execute
from rare_retention.study.folder import RUNS
from rare_retention.study.grid import units


@pytest.fixture(scope="module")
def study():
    axis = Axis(field="exposure.left_out", values=((), (-1,)))
    return dataclasses.replace(tiny.study(run__steps=24, streams=2), grid=(axis,))


@pytest.fixture(scope="module")
def workdir(study, tmp_path_factory):
    folder = epath.Path(tmp_path_factory.mktemp("control"))
    assert not execute(study, folder).failed
    list(build(study, folder))
    return folder


@pytest.fixture(scope="module")
def results(workdir):
    return xr.load_dataset(workdir / "results.nc", engine="h5netcdf")


def test_both_arms_are_measured_at_the_same_steps(results):
    """So that levels can be compared where the task is shown in one of them."""
    arms = results["signal"].isel(size=0, initialisation=0, task=-1)
    assert arms.dims == ("stream", "left_out", "step")
    both = arms.notnull()
    np.testing.assert_array_equal(both.isel(left_out=0), both.isel(left_out=1))


def test_they_part_when_the_task_is_first_shown(results):
    """The burst at step 7; until then students are the same bits."""
    signal = results["signal"].isel(task=-1)
    shown, control = (signal.isel(left_out=arm) for arm in (0, 1))
    np.testing.assert_array_equal(shown.sel(step=7), control.sel(step=7))
    assert (shown.sel(step=8) != control.sel(step=8)).all()


def test_the_control_was_never_shown_it(study, workdir, results):
    steps = results["exposure_step"].isel(watch=0)
    assert steps.isel(left_out=0).notnull().any() and steps.isel(left_out=1).isnull().all()
    for unit in units(study):
        about = read_manifest(workdir / RUNS / unit.name)
        if unit.coordinates["left_out"] == "(-1,)":
            assert about.shown[-1] == 0 and about.planned[-1] == 0
            assert about.recipe["exposure"]["left_out"] == [-1]
        else:
            assert about.shown[-1] > 0 and "left_out" not in about.recipe["exposure"]


def test_claims_on_retention_are_judged_against_it(results):
    """Of a real study; without the control they are not tested, and say what to add."""
    names = ("retention_factor_grows_with_size", "larger_keeps_more_at_matched_gain")
    alone = judge(results.isel(left_out=0), names)
    assert all("must add an axis over exposure.left_out" in found.note for found in alone)
    for found in judge(results, names):
        assert "control: it must" not in found.note and "hold no" not in found.note


CONFIGS = ("synthetic/retention.py", "synthetic/retention.py:small", "olmo/retention.py:small")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_control_beside_them_changes_no_run_of_a_study(name):
    """Runs of the arm in which nothing is left out are those of the study without the arm."""
    study = load(f"configs/{name}")
    bare = tuple(axis for axis in study.grid if axis.field != "exposure.left_out")
    assert len(bare) == len(study.grid) - 1
    arms = {unit.coordinates["left_out"] for unit in units(study)}
    assert arms == {"()", "(-1,)"}
    shown = [u.run for u in units(study) if u.coordinates["left_out"] == "()"]
    before = [unit.run for unit in units(dataclasses.replace(study, grid=bare))]
    assert sorted(run.identity() for run in shown) == sorted(run.identity() for run in before)
    assert "factor" in " ".join(study.claims)
