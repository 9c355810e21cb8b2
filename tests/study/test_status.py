"""How far the units of a study are together."""

import json

import pytest
import tiny
from etils import epath

from rare_retention.config import to_dict
from rare_retention.record.files import CONFIG, write_record
from rare_retention.record.live import Live, write_live
from rare_retention.record.lock import Lock
from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.study.grid import units
from rare_retention.study.progress import FAILURE
from rare_retention.study.status import finished_since, run_status, study_status

BRANCHES = ({"name": "a", "at": 20, "steps": 4}, {"name": "b", "of": "a", "at": 22, "steps": 2})


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path)


def leave(workdir, unit, status, step):
    folder = workdir / "runs" / unit.name
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, Manifest(status=status, step=step))
    return folder


def test_units_stand_in_the_order_of_the_study_with_their_states(workdir):
    study = tiny.study(streams=3)
    first, second, third = units(study)
    leave(workdir, third, "finished", 48)
    leave(workdir, second, "stopped", 8)
    found = study_status(study, workdir)
    assert [unit.name for unit in found.units] == [first.name, second.name, third.name]
    assert [unit.state for unit in found.units] == ["waiting", "stopped", "finished"]
    assert found.counts == {"finished": 1, "stopped": 1, "waiting": 1}
    assert found.left is None  # nobody trains


def test_what_is_left_is_all_open_steps_at_the_speed_of_all_that_run(workdir):
    study = tiny.study(streams=4)
    one, two, three, _ = units(study)
    leave(workdir, three, "finished", 48)
    with Lock(workdir / "runs" / one.name), Lock(workdir / "runs" / two.name):
        for unit, step, rate in ((one, 8, 3.0), (two, 24, 1.0)):
            folder = leave(workdir, unit, "running", 0)
            write_live(folder, Live(step=step, steps=48, doing="training", rate=rate))
        assert study_status(study, workdir).left == (40 + 24 + 48) / 4.0
        (workdir / "runs" / three.name / FAILURE).write_text('{"reason": "x"}')
        assert study_status(study, workdir).left == (40 + 24 + 48) / 4.0  # failed ones do not count


def test_a_branch_waits_for_the_run_that_it_goes_on_from(workdir):
    study = tiny.study(branches=BRANCHES)
    trunk, a, _ = units(study)
    before = study_status(study, workdir).units
    assert [unit.parent for unit in before] == ["", trunk.name, a.name]
    assert [unit.note for unit in before] == ["", "", ""]
    folder = leave(workdir, trunk, "running", 8)
    (folder / FAILURE).write_text('{"reason": "no room"}')
    found = study_status(study, workdir).units
    assert [unit.state for unit in found] == ["failed", "waiting", "waiting"]
    assert found[1].note == f"{trunk.name}, which it goes on from, has failed"
    assert (found[1].step, found[2].step) == (20, 22)  # where they begin


def test_as_json_everything_is_there_and_strict(workdir):
    study = tiny.study()
    (unit,) = units(study)
    folder = leave(workdir, unit, "stopped", 8)
    live = Live(step=8, steps=48, doing="left", loss={"2": float("nan"), "8": 0.5}, loss_step=8)
    write_live(folder, live)
    text = json.dumps(study_status(study, workdir).to_dict(), allow_nan=False)
    found = json.loads(text)
    assert found["counts"] == {"stopped": 1} and found["workdir"] == str(workdir)
    (own,) = found["units"]
    assert own["loss"] == {"2": None, "8": 0.5} and own["name"] == unit.name


def test_a_run_by_itself_is_a_study_of_one(workdir):
    run = tiny.run()
    write_record(workdir / CONFIG, to_dict(run))
    write_manifest(workdir, Manifest(status="stopped", step=16))
    (own,) = run_status(workdir).units
    assert (own.name, own.state, own.step, own.steps) == (workdir.name, "stopped", 16, 48)


def test_what_has_finished_changes_with_each_unit_and_each_time(workdir):
    study = tiny.study(streams=2)
    one, two = units(study)
    assert finished_since(study, workdir) == {}
    leave(workdir, one, "running", 0)
    assert finished_since(study, workdir) == {}
    folder = leave(workdir, one, "finished", 48)
    before = finished_since(study, workdir)
    assert list(before) == [one.name]
    leave(workdir, two, "finished", 48)
    assert list(finished_since(study, workdir)) == [one.name, two.name]
    (folder / "manifest.json").write_text("{")
    assert "damaged" in finished_since(study, workdir)[one.name]
