"""What a study's folders say of its units, without training any."""

import pytest
import tiny
from etils import epath

from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.record.records import STATES, steps_in
from rare_retention.study.progress import FAILURE, Progress

BRANCHES = (
    {"name": "a", "at": 20, "steps": 4},
    {"name": "b", "at": 20, "steps": 8},
    {"name": "c", "of": "a", "at": 22, "steps": 2},
)


@pytest.fixture
def study():
    return tiny.study(branches=BRANCHES, **{"run.snapshots.states": "(30,)"})


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path)


def leave(progress, name, status="finished", step=None, states=()):
    """Writes what a unit leaves that has come to a step, by default to its end."""
    unit = next(unit for unit in progress.units if unit.coordinates["branch"] == name)
    folder = progress.folder(unit.name)
    folder.mkdir(parents=True, exist_ok=True)
    at = unit.run.steps if step is None else step
    write_manifest(folder, Manifest(identity=unit.run.identity(), status=status, step=at))
    for own in states:
        (folder / STATES / str(own)).mkdir(parents=True, exist_ok=True)
    return unit


def line(progress, name):
    """What its line says after the unit's name."""
    units = [unit.coordinates["branch"] for unit in progress.units]
    return list(progress.lines())[units.index(name)].partition("  ")[2]


def test_states_are_wanted_until_the_branches_from_them_are_finished(study, workdir):
    progress = Progress(study, workdir)
    own = {unit.coordinates["branch"]: unit for unit in progress.units}
    trunk, a = own["trunk"], own["a"]
    assert progress.wanted(trunk) == {20, 30} and progress.wanted(a) == {22}
    leave(progress, "a", states=(22,))
    leave(progress, "b")
    assert progress.wanted(trunk) == {30}
    leave(progress, "c")
    assert progress.wanted(a) == set()


def test_a_unit_is_finished_with_its_end_and_its_wanted_states(study, workdir):
    progress = Progress(study, workdir)
    trunk = leave(progress, "trunk", states=(20,))
    assert not progress.is_finished(trunk)
    leave(progress, "trunk", states=(30,))
    assert progress.is_finished(trunk)
    leave(progress, "trunk", status="running")
    assert not progress.is_finished(trunk)
    leave(progress, "trunk", step=trunk.run.steps - 1)
    assert not progress.is_finished(trunk)


def test_dropped_are_states_of_the_run_that_nothing_goes_on_from(study, workdir):
    progress = Progress(study, workdir)
    trunk = leave(progress, "trunk", states=(20, 30))
    folder = progress.folder(trunk.name) / STATES
    a = leave(progress, "a", states=(22,))
    progress.drop(a)
    assert steps_in(folder) == [20, 30]  # for b
    b = leave(progress, "b")
    progress.drop(trunk)
    assert steps_in(folder) == [20, 30]  # it goes on from no other
    progress.drop(b)
    assert steps_in(folder) == [30] and steps_in(progress.folder(a.name) / STATES) == [22]


def test_two_workers_may_drop_the_same_state(study, workdir, monkeypatch):
    """One finds that a file which it is about to delete is gone; it deletes what is left."""
    progress = Progress(study, workdir)
    trunk = leave(progress, "trunk", states=(20, 30))
    leave(progress, "a", states=(22,))
    b = leave(progress, "b")
    rmtree, calls = type(workdir).rmtree, []

    def interrupted(path):
        calls.append(path.name)
        if len(calls) == 1:
            raise FileNotFoundError(path / "file")
        rmtree(path)

    monkeypatch.setattr(type(workdir), "rmtree", interrupted)
    progress.drop(b)
    assert calls == ["20", "20"]
    assert steps_in(progress.folder(trunk.name) / STATES) == [30]


def test_a_branch_knows_the_run_that_it_goes_on_from(study, workdir):
    progress = Progress(study, workdir)
    own = {unit.coordinates["branch"]: unit for unit in progress.units}
    trunk, a, c = own["trunk"], own["a"], own["c"]
    assert progress.parent(trunk) is None
    parent = progress.parent(c)
    assert parent.folder == progress.folder(a.name) and parent.run == a.run


def test_lines_say_how_far_units_are(study, workdir):
    progress = Progress(study, workdir)
    assert line(progress, "trunk") == "not started"
    leave(progress, "trunk")
    assert line(progress, "trunk") == "finished, but for a state that a branch is to go on from"
    leave(progress, "trunk", "stopped", 16)
    assert line(progress, "trunk") == "at step 16 of 48 or beyond"
    b = leave(progress, "b")
    assert line(progress, "b") == "finished  [from step 20 of stream=0; nothing changed]"
    (progress.folder(b.name) / FAILURE).write_text('{"reason": "no room"}')
    assert line(progress, "b").startswith("failed: no room  [from step 20")
