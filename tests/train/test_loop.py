import functools
import signal

import jax
import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.errors import ConfigError, UserError
from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
from rare_retention.record.exposures import NAME, read_exposures
from rare_retention.record.manifest import read_manifest
from rare_retention.record.recorder import Recorder
from rare_retention.record.records import RESUME, RETENTION, steps_in
from rare_retention.train import loop
from rare_retention.train.loop import train
from rare_retention.train.pace import Pace
from rare_retention.train.plan import make_plan


def records(folder):
    """Everything measured, and the last parameters."""
    values = metrics.read(folder)
    last = steps_in(folder / RESUME)[-1]
    leaves = jax.tree.leaves(verify(folder / RESUME, last))
    return values, [np.asarray(leaf) for leaf in leaves]


def assert_same(one, other):
    for name, values in one[0].items():
        np.testing.assert_array_equal(values, other[0][name], err_msg=name)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run and its folder."""
    folder = epath.Path(tmp_path_factory.mktemp("whole"))
    assert train(tiny.run(), folder) == 48
    return folder


def test_a_run_records_what_its_plan_says(whole):
    run = tiny.run()
    plan = make_plan(run, run.schedule())
    values = metrics.read(whole)
    assert values["step"].tolist() == [0, *plan.stops]
    assert values["loss"].shape == (len(plan.stops) + 1, 4, 4)
    assert np.isfinite(values["loss"]).all()
    assert np.isnan(values["train_loss"][0]).all() and np.isfinite(values["train_loss"][1:]).all()
    shown = np.array([run.schedule().counts(stop - 1) > 0 for stop in plan.stops])
    assert not shown.all()  # the batch of a task that it does not hold has no loss
    np.testing.assert_array_equal(
        np.isfinite(values["batch_loss"][1:]), np.repeat(shown[:, None], 4, axis=1)
    )
    assert tuple(steps_in(whole / RETENTION)) == plan.snapshots
    assert steps_in(whole / RESUME) == [32, 48]


def test_manifest_says_what_was_shown(whole):
    about = read_manifest(whole)
    assert about.status == "finished" and about.step == 48
    assert about.shown == tuple(tiny.run().schedule().shown(48).tolist())
    assert about.planned == pytest.approx(np.array(tiny.run().setting.frequencies) * 32 * 48)
    assert about.identity == tiny.run().identity()


def test_exposures_are_recorded(whole):
    """Those of the plan and of the batch that would come next: here none, at step 48."""
    found = read_exposures(whole)
    assert list(found) == [tiny.run().setting.task_names[-1]]
    (steps, counts) = found.popitem()[1]
    assert steps.tolist() == [7, 15, 23, 31, 39, 47]
    assert counts.tolist() == [tiny.run().schedule().counts(t)[-1] for t in steps]


def test_training_learns(whole):
    values = metrics.read(whole)
    assert values["loss"][-1, :, 0].max() < 0.5 * values["loss"][0, :, 0].min()


def test_a_stopped_run_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch):
    record, seen = Recorder.record, []

    def interrupt(self, step, state, measured, *, save):
        record(self, step, state, measured, save=save)
        seen.append(step)
        if len(seen) == 4:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Recorder, "record", interrupt)
    folder = epath.Path(tmp_path)
    reached = train(tiny.run(), folder)
    assert seen[3] < reached < 48
    assert read_manifest(folder).status == "stopped"
    monkeypatch.undo()
    assert train(tiny.run(), folder) == 48
    assert_same(records(whole), records(folder))


def test_a_killed_run_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    record = Recorder.record

    def kill(self, step, state, measured, *, save):
        if step >= 40:
            self._resume.wait()
            raise Killed
        record(self, step, state, measured, save=save)

    monkeypatch.setattr(Recorder, "record", kill)
    folder = epath.Path(tmp_path)
    with pytest.raises(Killed):
        train(tiny.run(), folder)
    monkeypatch.undo()
    assert (folder / NAME).read_bytes() == (whole / NAME).read_bytes()
    assert train(tiny.run(), folder) == 48
    assert_same(records(whole), records(folder))
    assert (folder / NAME).read_bytes() == (whole / NAME).read_bytes()


def test_a_run_under_muon_goes_on_to_the_same_bits(tmp_path):
    """From its checkpoint of step 32, with the moments of matrices and of the rest."""
    muon = {"optimizer__method": "muon"}
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    assert train(tiny.run(**muon), epath.Path(tmp_path / "whole")) == 48
    assert train(tiny.run(steps=32, **muon), epath.Path(tmp_path / "parts")) == 32
    assert train(tiny.run(**muon), epath.Path(tmp_path / "parts")) == 48
    whole, parts = (records(epath.Path(tmp_path / name))[1] for name in ("whole", "parts"))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_is_left_alone_and_may_grow(tmp_path):
    folder = epath.Path(tmp_path)
    train(tiny.run(steps=32), folder)
    first = metrics.read(folder)
    assert train(tiny.run(steps=32), folder) == 32
    assert _last_exposure(folder) == 31
    assert train(tiny.run(steps=48), folder) == 48
    grown = metrics.read(folder)
    assert _last_exposure(folder) == 47
    assert train(tiny.run(steps=32), folder) == 48  # asked for less than there is
    assert _last_exposure(folder) == 47
    assert read_manifest(folder).shown == tuple(tiny.run().schedule().shown(48).tolist())
    np.testing.assert_array_equal(grown["loss"][: len(first["loss"])], first["loss"])
    assert grown["step"][-1] == 48


def _last_exposure(folder):
    (found,) = read_exposures(folder).values()
    return found.steps[-1]


def test_another_recipe_is_refused_with_the_difference(whole):
    with pytest.raises(UserError, match=r"holds another run: batch: 32 -> 64; choose another"):
        train(tiny.run(batch=64), whole)


def test_a_damaged_checkpoint_is_passed_over(whole, tmp_path):
    folder = epath.Path(tmp_path)
    train(tiny.run(), folder)
    with (
        tiny.flipped_bit(tmp_path / RESUME / "48", undo=False),
        pytest.warns(UserWarning, match="48: .*going on from step 32"),
    ):
        assert train(tiny.run(), folder) == 48
    assert_same(records(whole), records(folder))
    assert (folder / RESUME / "48.damaged").exists()


def test_no_whole_checkpoint_is_an_error_and_nothing_is_lost(tmp_path):
    folder = epath.Path(tmp_path)
    train(tiny.run(steps=16), folder)
    before = metrics.read(folder)
    with tiny.flipped_bit(tmp_path / RESUME / "16"), pytest.raises(UserError, match="16: "):
        train(tiny.run(steps=32), folder)
    np.testing.assert_array_equal(metrics.read(folder)["loss"], before["loss"])


def test_students_and_rows_over_devices_give_the_same_numbers(whole, tmp_path):
    """Those of one device, and also where they go on from a checkpoint."""
    folder, mesh = epath.Path(tmp_path), {"mesh__student": 2, "mesh__data": 4}
    assert train(tiny.run(steps=32, **mesh), folder) == 32
    assert train(tiny.run(**mesh), folder) == 48
    mine, theirs = metrics.read(whole), metrics.read(folder)
    steps, *at = np.intersect1d(mine["step"], theirs["step"], return_indices=True)
    assert {0, 8, 16, 32, 47, 48} <= set(steps.tolist())
    for name in ("loss", "signal", "residual", "train_loss", "reference"):
        one, other = (values[name][i] for values, i in zip((mine, theirs), at, strict=True))
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch": 36, "mesh__data": -1},
            "batch: 36 rows cannot be spread evenly over 8 devices; nearest: 32",
        ),
        (
            {"mesh__student": 4, "mesh__data": 2},
            "mesh.student: 2 students of equal shape .* over 4 devices",
        ),
        ({"mesh__data": 16}, "data: a mesh of 1 x 16 x 1 x 1 does not fit 8 devices"),
        ({"snapshots__budget_mb": 1e-6}, r"snapshots.budget_mb: \d+ snapshots of .* raise it"),
        ({"steps": 4}, "exposure.gap: 8 steps, but a run of 4 ends before the first burst"),
    ],
)
def test_a_run_that_cannot_be_writes_nothing(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny.run(**changes), epath.Path(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [0.0, 1e9])
def test_how_steps_are_cut_into_calls_changes_no_bit(whole, tmp_path, monkeypatch, limit):
    """One step a call, as where a step takes longer than a signal should wait; or all at once."""
    lengths = []

    class Own(Pace):
        def steps(self, wanted):
            lengths.append((wanted, super().steps(wanted)))
            return lengths[-1][1]

    monkeypatch.setattr(loop, "Pace", functools.partial(Own, limit=limit))
    folder = epath.Path(tmp_path)
    assert train(tiny.run(), folder) == 48
    assert_same(records(whole), records(folder))
    if limit:
        assert all(taken == wanted for wanted, taken in lengths[1:])
    else:
        assert [taken for _, taken in lengths] == [1] * 48
