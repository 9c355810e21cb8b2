"""What results say of when tasks were shown."""

import shutil

import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import exposures, metrics
from rare_retention.study.execute import execute
from rare_retention.study.folder import RUNS
from rare_retention.study.results import gather, load_run

GRID = "({'field': 'exposure.gap', 'values': (1, 8)},)"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study of two gaps, of which one withholds nothing."""
    workdir = epath.Path(tmp_path_factory.mktemp("study"))
    study = tiny.study(grid=GRID, run__steps=24, run__snapshots__cycles=0)
    execute(study, workdir)
    return study, workdir


def test_exposures_are_those_of_the_schedule(done):
    study, workdir = done
    results = gather(study, workdir)
    step, count = results["exposure_step"], results["exposure_count"]
    assert step.dims == count.dims == ("stream", "gap", "watch", "exposure")
    assert (step.attrs["units"], count.attrs["units"]) == ("step", "rows")
    for gap in (1, 8):
        run = tiny.run(exposure__gap=gap, steps=24)
        held = [t for t in range(25) if run.schedule().counts(t)[-1]]
        own = step.sel(gap=gap).isel(stream=0, watch=0)
        assert own.dropna("exposure").values.tolist() == held
        rows = count.sel(gap=gap).isel(stream=0, watch=0).dropna("exposure").values.tolist()
        assert rows == [run.schedule().counts(t)[-1] for t in held]


def test_tasks_are_withheld_where_there_is_a_gap(done):
    results = gather(*done)
    assert results["is_withheld"].dims == ("gap", "task")
    assert results["is_withheld"].values.tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]


def test_exposures_that_a_run_has_not_reached_are_none_of_its_own(done, tmp_path):
    """At state 15 the batch of the second burst comes next: the state is just before it."""
    folder = epath.Path(tmp_path) / "run"
    shutil.copytree(done[1] / RUNS / "stream=0,gap=8", folder)
    metrics.cut(folder, 15)
    assert load_run(folder)["exposure_step"].values.tolist() == [[7, 15]]
    metrics.cut(folder, 14)
    assert load_run(folder)["exposure_step"].values.tolist() == [[7]]
    metrics.cut(folder, 3)
    assert load_run(folder)["exposure_step"].shape == (1, 0)


def test_a_run_without_its_exposures_says_what_to_do(done, tmp_path):
    folder = epath.Path(tmp_path) / "run"
    shutil.copytree(done[1] / RUNS / "stream=0,gap=8", folder)
    (folder / exposures.NAME).unlink()
    with pytest.raises(UserError, match=r"exposures\.npz: missing; delete the run"):
        load_run(folder)


def test_measured_values_stand_at_their_steps(done):
    results = gather(*done)
    here = metrics.read(done[1] / RUNS / "stream=0,gap=8")
    loss = results["loss"].sel(gap=8).isel(stream=0)
    np.testing.assert_array_equal(
        loss.sel(step=here["step"]).transpose("step", ...).values.reshape(here["loss"].shape),
        here["loss"],
    )
