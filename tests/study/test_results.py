"""What results say: names, units, what a step costs, and when tasks were shown."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import exposures, metrics
from rare_retention.record.dataset import load, save
from rare_retention.record.manifest import read_manifest, write_manifest
from rare_retention.record.seal import Foreign
from rare_retention.schedule.schedule import Exposures
from rare_retention.study.axes import Axis
from rare_retention.study.execute import execute
from rare_retention.study.folder import RECIPE, RESULTS, RUNS, STUDY, claim
from rare_retention.study.grid import Study, units
from rare_retention.study.results import (
    EVIDENCE,
    check_runs,
    collect,
    gather,
    load_own,
    load_run,
    told,
)
from rare_retention.train import loop
from rare_retention.train.plan import make_plan
from rare_retention.watch.watcher import Watcher, Watching

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
    about = read_manifest(folder)
    write_manifest(folder, dataclasses.replace(about, status="running"))
    metrics.cut(folder, about.identity, 15)
    assert load_run(folder)["exposure_step"].values.tolist() == [[7, 15]]
    metrics.cut(folder, about.identity, 14)
    assert load_run(folder)["exposure_step"].values.tolist() == [[7]]
    metrics.cut(folder, about.identity, 3)
    assert load_run(folder)["exposure_step"].shape == (1, 0)


def test_a_run_without_its_exposures_says_what_to_do(done, tmp_path):
    folder = epath.Path(tmp_path) / "run"
    shutil.copytree(done[1] / RUNS / "stream=0,gap=8", folder)
    (folder / exposures.NAME).unlink()
    with pytest.raises(UserError, match=r"finished, but exposures\.npz is not there; restore it"):
        load_run(folder)


def test_runs_that_changed_places_are_found(done, tmp_path):
    study, workdir = done
    copied = epath.Path(tmp_path) / "study"
    shutil.copytree(workdir, copied)
    first, second, *_ = [copied / RUNS / unit.name for unit in units(study)]
    first.rename(copied / "x")
    second.rename(first)
    (copied / "x").rename(second)
    with pytest.raises(UserError, match="is the run of another recipe") as caught:
        gather(study, copied)
    assert "\n" not in str(caught.value)


def test_a_block_that_is_gone_is_missed(done, tmp_path):
    study, workdir = done
    copied = epath.Path(tmp_path) / "study"
    shutil.copytree(workdir, copied)
    name = metrics.names(copied / RUNS / "stream=0,gap=8")[0]
    (copied / RUNS / "stream=0,gap=8" / metrics.FOLDER / name).unlink()
    with pytest.raises(UserError, match=f"has finished, but metrics/{name} is not there"):
        gather(study, copied)


def test_measured_values_stand_at_their_steps(done):
    results = gather(*done)
    here = metrics.read(done[1] / RUNS / "stream=0,gap=8")
    loss = results["loss"].sel(gap=8).isel(stream=0)
    np.testing.assert_array_equal(
        loss.sel(step=here["step"]).transpose("step", ...).values.reshape(here["loss"].shape),
        here["loss"],
    )


def test_sizes_and_tasks_have_names_and_all_have_units(done):
    """A regression's sizes are called by their widths; a size has N D + K d_T N weights."""
    results = gather(*done)
    assert results["size"].values.tolist() == results["width"].values.tolist() == [2, 8]
    assert results["parameters"].values.tolist() == [2 * (16 + 4 * 4), 8 * (16 + 4 * 4)]
    assert results["task"].values.tolist() == [f"regression {k}" for k in (1, 2, 3, 4)]
    assert results["watch"].values.tolist() == ["regression 4"]
    assert results["signal"].sel(task="regression 4", size=8).ndim == 4
    assert [name for name, values in results.variables.items() if not values.attrs["units"]] == []
    assert results["gap"].attrs["units"] == results["step"].attrs["units"] == "steps"
    assert results["spectrum"].attrs["units"] == "mean squared error"


def started(run, folder):
    """Makes a run's folder as training does, with its initial state measured as nothing."""
    plan = make_plan(run, run.schedule())
    recorder = loop._recorder(run, folder, plan, None, Watcher(Watching(), run, folder, ""))
    recorder.describe("running", 0, [])
    recorder.close()
    none = Exposures(np.zeros(0, np.int64), np.zeros(0, np.int64))
    exposures.write_exposures(folder, run.identity(), {"modular addition": none})
    values = metrics.Metrics(folder, run.identity())
    shape = (len(run.setting.family.students), len(run.setting.task_names))
    values.add(0, {"loss": np.zeros(shape)})
    values.flush()


def test_each_unit_counts_its_own_rows_tokens_and_operations(tmp_path):
    """Over batches of 8 and 16 rows, and over windows of 16 and 32 tokens."""
    grid = (
        Axis(field="batch", values=(8, 16)),
        Axis(field="setting.window", values=(16, 32)),
    )
    study = Study(name="x", run=tiny_text.run(exposure__placement="iid"), grid=grid)
    for unit in units(study):
        started(unit.run, epath.Path(tmp_path) / RUNS / unit.name)
    results = gather(study, epath.Path(tmp_path))
    assert results["step_rows"].dims == results["step_tokens"].dims == ("batch", "window")
    assert results["step_rows"].values.tolist() == [[8, 8], [16, 16]]
    assert results["step_tokens"].values.tolist() == [[128, 256], [256, 512]]
    assert results["step_flops"].dims == ("batch", "window", "size")
    assert results["size"].values.tolist() == ["1x8x16x2", "2x16x32x2"]
    assert results["width"].values.tolist() == [8, 16]
    for unit in units(study):
        place = {name: unit.coordinates[name] for name in ("batch", "window")}
        found = results["step_flops"].sel(place)
        expected = unit.run.setting.family.flops(unit.run.batch)
        assert dict(zip(found["size"].values.tolist(), found.values, strict=True)) == expected
    for name, own in {"step_rows": "rows", "step_tokens": "tokens", "window": "tokens"}.items():
        assert results[name].attrs["units"] == own


def test_results_of_another_study_are_refused_and_of_a_grown_one_read(done, tmp_path):
    """Of a study that has more streams by now, its results are still its own."""
    study, workdir = done
    path = epath.Path(tmp_path) / RESULTS
    collect(study, workdir)
    for name in (STUDY, RECIPE, RESULTS):
        shutil.copy(workdir / name, tmp_path / name)
    assert load_own(path).identical(load(path))
    claim(dataclasses.replace(study, streams=3), path.parent)
    assert load_own(path).identical(load(path))
    (tmp_path / STUDY).unlink()
    assert load_own(path).identical(load(path))
    other = tiny.study(grid=GRID, run__steps=24, run__batch=64)
    (tmp_path / RECIPE).unlink()
    claim(other, path.parent)
    with pytest.raises(Foreign, match=r"results.nc: is of another run stream=0,gap=1: it belongs"):
        load_own(path)
    with pytest.raises(Foreign, match="is of stream=0,gap=1 and no run of this study: it belongs"):
        check_runs(load(path), json.dumps({"stream=0": "x"}), path, "")


def test_evidence_of_another_study_is_refused(done):
    study, workdir = done
    other = tiny.study(grid=GRID, run__steps=24, run__batch=64)
    results = gather(study, workdir)
    assert results.attrs["runs"] == told(study)["runs"] != told(other)["runs"]
    evidence = results[["loss"]].rename(step="snapshot", loss="null_effect")
    save(evidence.assign_attrs(told(other)), workdir / EVIDENCE)
    with pytest.raises(Foreign, match=r"evidence.nc: is of another run .* run launch.evidence"):
        gather(study, workdir)
    save(evidence.assign_attrs(told(study)), workdir / EVIDENCE)
    assert "null_effect" in gather(study, workdir)
    (workdir / EVIDENCE).unlink()
