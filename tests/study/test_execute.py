import signal

import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.errors import Damaged, UserError
from rare_retention.record.dataset import load
from rare_retention.record.lock import Lock, Lost
from rare_retention.study import execute as module
from rare_retention.study.execute import execute
from rare_retention.study.folder import stored_study
from rare_retention.study.results import collect, gather

GAPS = "({'field': 'exposure.gap', 'values': (4, 8)},)"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study of two gaps and its folder."""
    workdir = epath.Path(tmp_path_factory.mktemp("study"))
    study = tiny.study(grid=GAPS, run__steps=24)
    assert execute(study, workdir) == (2, {}, False)
    return study, workdir


def test_results_hold_every_run(done):
    study, workdir = done
    results = collect(study, workdir)
    assert dict(results.sizes) | {"step": 0} == {
        "stream": 1,
        "gap": 2,
        "size": 2,
        "initialisation": 2,
        "step": 0,
        "task": 4,
        "watch": 1,
        "direction": 4,
        "exposure": 6,
    }
    assert results.loss.dims == ("stream", "gap", "size", "initialisation", "step", "task")
    assert results.loss.attrs["units"] and results.finished.all()
    assert np.isfinite(results.loss.sel(step=24)).all()
    # State 3 stands before the first burst of gap 4; gap 8 is not measured there.
    assert np.isfinite(results.signal.sel(gap=4, step=3)).all()
    assert np.isnan(results.signal.sel(gap=8, step=3)).all()
    assert results.frequency.dims == ("gap", "task")
    np.testing.assert_allclose(results.frequency.sum("task"), 1)
    assert results.identical(load(workdir / "results.nc"))


def test_finished_runs_are_skipped(done, monkeypatch):
    study, workdir = done

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "train", refuse)
    assert execute(study, workdir) == (2, {}, False)


def test_a_signal_stops_the_study_between_runs(tmp_path, monkeypatch):
    trained = []

    def quick(run, folder, label, interruption, parent, watching, lock):
        trained.append(label)
        signal.raise_signal(signal.SIGTERM)
        return run.steps

    monkeypatch.setattr(module, "train", quick)
    study = tiny.study(grid=GAPS, run__steps=24)
    assert execute(study, epath.Path(tmp_path)) == (1, {}, True)
    assert trained == ["stream=0,gap=4"]


def quickly(trained, error=None):
    """In place of training: notes the unit, and leaves the first with an error."""

    def train(run, folder, label, interruption, parent, watching, lock):
        trained.append(label)
        if error is not None and len(trained) == 1:
            raise error
        return run.steps

    return train


def test_a_unit_that_another_has_taken_over_is_left_to_it(tmp_path, monkeypatch):
    """Here nobody has: it is free again, and taken once more when its turn comes."""
    trained, said = [], []
    monkeypatch.setattr(module, "train", quickly(trained, Lost("it was taken over")))
    study = tiny.study(grid=GAPS, run__steps=24)
    assert execute(study, epath.Path(tmp_path), say=said.append) == (2, {}, False)
    assert trained == ["stream=0,gap=4", "stream=0,gap=4", "stream=0,gap=8"]
    assert said == ["it was taken over"]


def test_a_worker_waits_for_what_others_hold_or_leaves(tmp_path, monkeypatch):
    trained, said, workdir = [], [], epath.Path(tmp_path)
    monkeypatch.setattr(module, "train", quickly(trained))
    study = tiny.study(grid=GAPS, run__steps=24)
    held = Lock(workdir / "runs" / "stream=0,gap=4").__enter__()
    assert execute(study, workdir, wait=False, say=said.append) == (1, {}, False)
    assert said.pop().startswith("left to other workers: stream=0,gap=4 (process ")

    def over(line):
        said.append(line)
        held.__exit__()

    assert execute(study, workdir, say=over) == (2, {}, False)
    assert said[0].startswith("waiting for units of other workers: stream=0,gap=4 (process ")
    assert trained == ["stream=0,gap=8", "stream=0,gap=8", "stream=0,gap=4"]


def test_a_signal_ends_the_waiting(tmp_path, monkeypatch):
    workdir = epath.Path(tmp_path)
    monkeypatch.setattr(module, "train", quickly([]))
    study = tiny.study(grid=GAPS, run__steps=24)
    with Lock(workdir / "runs" / "stream=0,gap=4"):
        asked = execute(study, workdir, say=lambda _: signal.raise_signal(signal.SIGTERM))
    assert asked == (1, {}, True)


def test_a_study_that_was_read_from_its_workdir_is_not_written_there(tmp_path, monkeypatch):
    workdir = epath.Path(tmp_path)
    monkeypatch.setattr(module, "train", quickly([]))
    execute(tiny.study(run__steps=24), workdir, begin=False)
    assert not (workdir / "study.json").exists()


def test_results_name_students_by_width_in_any_order(tmp_path):
    study = tiny.study(run__steps=16, run__setting__widths="(8, 2)")
    execute(study, epath.Path(tmp_path))
    signal = gather(study, epath.Path(tmp_path)).signal.isel(stream=0, step=0)
    start = signal.mean(["initialisation", "task"])
    # What a random student captures is its share N / D of the inputs.
    assert float(start.sel(size=2)) < 0.3 < float(start.sel(size=8))


def test_another_study_is_refused(done):
    study, workdir = done
    with pytest.raises(UserError, match="holds another study: name: 'injection' -> 'other'"):
        execute(tiny.study(grid=GAPS, run__steps=24, name="other"), workdir)
    with pytest.raises(UserError, match=r"holds another study: run.batch: 32 -> 64"):
        execute(tiny.study(grid=GAPS, run__steps=24, run__batch=64), workdir)
    assert stored_study(workdir) == study


def test_a_failed_run_is_reported_and_tried_again_on_request(tmp_path, monkeypatch):
    workdir = epath.Path(tmp_path)
    study = tiny.study(grid=GAPS, run__steps=24)
    train = module.train

    def sometimes(run, folder, label, interruption, parent, watching, lock):
        if run.exposure.gap == 4:
            raise FloatingPointError("the loss is not finite\nat step 7")
        return train(run, folder, label, interruption, parent, watching, lock)

    monkeypatch.setattr(module, "train", sometimes)
    place = workdir / "runs" / "stream=0,gap=4" / "failure.txt"
    why = f"FloatingPointError: the loss is not finite at step 7 (traceback: {place})"
    reason = {"stream=0,gap=4": why}
    assert execute(study, workdir) == (1, reason, False)
    results = gather(study, workdir)
    assert np.isnan(results.loss.sel(gap=4)).all() and not results.finished.sel(gap=4).any()
    assert np.isfinite(results.loss.sel(gap=8, step=24)).all()
    monkeypatch.undo()
    assert execute(study, workdir) == (1, reason, False)
    assert execute(study, workdir, retry_failed=True) == (2, {}, False)
    assert gather(study, workdir).finished.all()
    assert not place.exists()


def test_units_with_damaged_files_are_named_and_the_others_trained(tmp_path, monkeypatch):
    """Nothing is written about them: once they are repaired the same command trains them."""
    workdir, trained = epath.Path(tmp_path), []
    study = tiny.study(grid="({'field': 'exposure.gap', 'values': (2, 4, 8)},)", run__steps=24)
    manifest = workdir / "runs" / "stream=0,gap=2" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    monkeypatch.setattr(module, "train", quickly(trained, Damaged("resume/8: damaged; delete it")))
    outcome = execute(study, workdir)
    assert (outcome.finished, outcome.stopped) == (1, False)
    assert trained == ["stream=0,gap=4", "stream=0,gap=8"]
    assert f"{manifest}: damaged, not valid JSON" in outcome.failed.pop("stream=0,gap=2")
    assert outcome.failed == {"stream=0,gap=4": "resume/8: damaged; delete it"}
    manifest.unlink()
    assert execute(study, workdir) == (3, {}, False)


def test_a_diverged_run_fails_by_name(tmp_path):
    workdir = epath.Path(tmp_path)
    study = tiny.study(
        run__steps=24,
        run__optimizer__method="sgd",
        run__optimizer__peak=1e20,
        run__optimizer__clip="none",
    )
    outcome = execute(study, workdir)
    assert outcome.finished == 0
    assert "not finite" in outcome.failed["stream=0"]


def test_no_results_yet(tmp_path):
    with pytest.raises(UserError, match="no unit of this study has been measured yet"):
        gather(tiny.study(), epath.Path(tmp_path))
    with pytest.raises(UserError, match="holds no study"):
        stored_study(epath.Path(tmp_path))
