"""What a run keeps of each measured state, and what a resumed one finds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.errors import UserError
from rare_retention.record import metrics
from rare_retention.record.checkpoints import Store, verify
from rare_retention.record.manifest import Manifest, read_manifest
from rare_retention.record.recorder import Recorder
from rare_retention.record.records import RESUME, RETENTION, STATES, steps_in
from rare_retention.settings.student import Student

ABOUT = Manifest(
    students=tuple(Student("width_2", 2, 2, 8, i) for i in (0, 1)),
    recipe={"batch": 8},
)


class State(NamedTuple):
    step: jax.Array
    params: dict[str, jax.Array]
    followed: dict[str, jax.Array]


def state(step):
    return State(jnp.int32(step), {"weights": jnp.full((3, 2), step, jnp.float32)}, {})


def shapes():
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state(0))


def measured(step, train_loss=1.0):
    values = {"loss": jnp.full((2, 3), step, jnp.float32)}
    return values | ({"train_loss": jnp.array([1.0, train_loss])} if step else {})


@pytest.fixture
def recorder(tmp_path):
    """f(...) -> an open recorder of the test's folder; all are closed at the end."""
    opened = []

    def open_recorder(snapshots=(3,), checkpoints=(2, 4), keep=9, states=()):
        opened.append(
            Recorder(
                epath.Path(tmp_path),
                "recipe",
                snapshots=snapshots,
                checkpoints=checkpoints,
                states=dict.fromkeys(states, (8, 0)),
                keep=keep,
                about=ABOUT,
            )
        )
        return opened[-1]

    yield open_recorder
    for each in opened:
        each.abandon()


def record(recorder, steps, save=()):
    for step in steps:
        recorder.record(step, state(step), measured(step), save=step in save)


def test_each_state_is_kept_as_the_plan_says(recorder, tmp_path):
    folder, own = epath.Path(tmp_path), recorder()
    record(own, range(6), save={0, 5})  # before the first step there is nothing to go on from
    own.close()
    assert metrics.read(folder)["step"].tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(metrics.read(folder)["loss"][:, 1, 2], np.arange(6))
    assert steps_in(folder / RESUME) == [2, 4, 5]
    assert steps_in(folder / RETENTION) == [3]
    assert verify(folder / RESUME, 4)["step"] == 4
    assert verify(folder / RETENTION, 3).keys() == {"weights"}  # parameters, not the whole state


def test_values_are_fetched_one_stop_late_and_written_before_a_checkpoint(recorder, tmp_path):
    folder, own = epath.Path(tmp_path), recorder(snapshots=(), checkpoints=(2,))
    fetched = []

    class Late:
        shape = (2,)

        def __init__(self, step):
            self.step = step

        def __array__(self, dtype=None, copy=None):
            fetched.append(self.step)
            return np.zeros(2)

    for step, expected in ((0, []), (1, [0]), (2, [0, 1, 2])):
        own.record(step, state(step), {"loss": Late(step)}, save=False)
        assert fetched == expected
    assert metrics.read(folder)["step"].tolist() == [0, 1, 2]


def test_a_run_goes_on_from_its_newest_checkpoint(recorder, tmp_path):
    """What was recorded after it is gone, and is recorded again."""
    folder, killed = epath.Path(tmp_path), recorder()
    record(killed, range(4))
    killed.close()  # the checkpoint of state 4 is missing
    own = recorder()
    found = own.restore(shapes())
    assert found.step == 2
    np.testing.assert_array_equal(found.params["weights"], np.full((3, 2), 2))
    assert metrics.read(folder)["step"].tolist() == [0, 1, 2]
    assert steps_in(folder / RETENTION) == []
    record(own, (3, 4))
    own.close()
    assert metrics.read(folder)["step"].tolist() == [0, 1, 2, 3, 4]
    assert steps_in(folder / RETENTION) == [3] and steps_in(folder / RESUME) == [2, 4]


def test_without_a_checkpoint_a_run_begins_anew(recorder, tmp_path):
    folder, killed = epath.Path(tmp_path), recorder(snapshots=(0, 1))
    record(killed, (0, 1))
    killed.close()
    assert recorder().restore(shapes()) is None
    assert metrics.read(folder) == {} and steps_in(folder / RETENTION) == []


def test_damaged_checkpoints_are_passed_over_and_kept(recorder, tmp_path):
    folder, before = epath.Path(tmp_path), recorder()
    record(before, range(5))
    before.close()
    own = recorder()
    with (
        tiny.flipped_bit(tmp_path / RESUME / "4", undo=False),
        pytest.warns(UserWarning, match=r"resume/4: .*; set aside, going on from step 2"),
    ):
        assert own.restore(shapes()).step == 2
    assert steps_in(folder / RESUME) == [2] and (folder / RESUME / "4.damaged").exists()
    assert metrics.read(folder)["step"][-1] == 2


def test_with_damaged_checkpoints_alone_nothing_is_lost(recorder, tmp_path):
    folder, before = epath.Path(tmp_path), recorder()
    record(before, range(4))
    before.close()
    with (
        tiny.flipped_bit(tmp_path / RESUME / "2"),
        pytest.raises(UserError, match=r"resume/2: .*; no checkpoint is whole: delete .*resume to"),
    ):
        recorder().restore(shapes())
    assert metrics.read(folder)["step"].tolist() == [0, 1, 2, 3]
    assert steps_in(folder / RESUME) == [2] and steps_in(folder / RETENTION) == [3]


def test_a_checkpoint_is_behind_all_that_is_kept_up_to_it(recorder, tmp_path, monkeypatch):
    """A kill at any time finds the snapshots and whole states of the steps that were passed."""
    folder, there, save = epath.Path(tmp_path), [], Store.save

    def look(store, step, *rest):
        if store._folder.name == RESUME:
            there.append([steps_in(folder / name) for name in (RETENTION, STATES)])
        save(store, step, *rest)

    monkeypatch.setattr(Store, "save", look)
    own = recorder(snapshots=(2, 3, 4), states=(2, 4))
    record(own, range(5))
    own.close()
    assert there == [[[2], [2]], [[2, 3, 4], [2, 4]]]


@pytest.mark.parametrize(("wanted", "goes_on"), [(4, 2), (3, 2), (2, None), (5, 4)])
def test_a_whole_state_that_was_passed_without_it_is_trained_again(
    recorder, tmp_path, wanted, goes_on
):
    """From the checkpoint before it, also where the newest is of that very step; or from 0."""
    before = recorder()
    record(before, range(5))
    before.close()
    own = recorder(states=(wanted,))
    if wanted > 4:  # which is still to come
        assert own.restore(shapes()).step == goes_on
    else:
        with pytest.warns(UserWarning, match=f"step {wanted} was passed, but its whole state, wh"):
            found = own.restore(shapes())
        assert (found is None and goes_on is None) or found.step == goes_on
    record(own, range((goes_on or -1) + 1, 6))
    own.close()
    folder = epath.Path(tmp_path)
    assert steps_in(folder / STATES) == [wanted] and steps_in(folder / RESUME) == [2, 4]
    assert recorder(states=(wanted,)).restore(shapes()).step == 4


def test_a_diverged_student_is_named_and_its_values_are_missing(recorder, tmp_path):
    own, students = recorder(snapshots=(), checkpoints=()), 2
    halted = np.full(students, -1)
    own.record(0, state(0), measured(0) | {"halted": halted}, save=False)
    own.record(
        1, state(1), measured(1) | {"halted": np.where(np.arange(students), 0, -1)}, save=False
    )
    with pytest.warns(UserWarning, match="has diverged at step 0, its loss or gradient is not fin"):
        own.record(2, state(2), measured(2) | {"halted": np.zeros(students)}, save=False)
    with (
        pytest.warns(UserWarning, match="width_2_0 has diverged at step 0"),
        pytest.raises(FloatingPointError, match="not finite at step 0, and no student is left;"),
    ):
        own.close()
    values = metrics.read(epath.Path(tmp_path))
    assert values["step"].tolist() == [0, 1] and "halted" not in values
    assert np.isfinite(values["loss"][0]).all()
    assert np.isnan(values["loss"][1]).all(-1).tolist() == [i > 0 for i in range(students)]


def test_a_manifest_adds_up_the_time_of_all_starts(recorder, tmp_path, monkeypatch):
    folder = epath.Path(tmp_path)
    now = iter((100.0, 107.5, 500.0, 502.0))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    recorder().describe("stopped", 2, [9, 7])
    first = read_manifest(folder)
    recorder().describe("finished", 4, (18, 14))
    about = read_manifest(folder)
    assert (first.seconds, about.seconds) == (7.5, 9.5)
    assert (about.status, about.step, about.shown) == ("finished", 4, (18, 14))
    assert about.identity == "recipe" and about.recipe == {"batch": 8}


def test_an_error_is_not_hidden_by_closing(recorder, monkeypatch):
    own = recorder()
    closed = []

    def fail(store):
        closed.append(store)
        raise OSError("the disk is gone")

    monkeypatch.setattr(Store, "close", fail)
    own.abandon()
    assert len(closed) == 2
    monkeypatch.undo()
