"""The status of a study from its shell command: without JAX, while it may be written."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import status
from rare_retention import flags as command_line
from rare_retention.config import to_dict
from rare_retention.errors import UserError
from rare_retention.record.files import CONFIG, write_record
from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.study.folder import claim
from rare_retention.study.grid import units
from rare_retention.study.status import study_status


def call(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return status.main(command_line.parse(["launch", *arguments]))


@pytest.fixture
def workdir(tmp_path):
    """A study of two streams, one of which has come to its end."""
    workdir, study = epath.Path(tmp_path) / "study", tiny.study(streams=2)
    claim(study, workdir)
    folder = workdir / "runs" / units(study)[0].name
    folder.mkdir(parents=True)
    write_manifest(folder, Manifest(status="finished", step=48))
    return workdir


def test_a_table(workdir, capsys):
    assert call(f"--workdir={workdir}") == 0
    head, one, two, total = capsys.readouterr().out.splitlines()
    assert head.startswith("unit") and "finished" in one and "waiting" in two
    assert total == "2 units: 1 finished, 1 waiting"


def test_json_alone_or_beside_the_table(workdir, tmp_path, capsys):
    assert call(f"--workdir={workdir}", "--json=-") == 0
    printed = json.loads(capsys.readouterr().out)
    assert call(f"--workdir={workdir}", f"--json={tmp_path}/status.json") == 0
    assert "2 units" in capsys.readouterr().out
    written = json.loads((tmp_path / "status.json").read_text())
    assert [unit["state"] for unit in written["units"]] == ["finished", "waiting"]
    assert written["units"] == printed["units"]


def test_a_run_by_itself(tmp_path, capsys):
    folder = epath.Path(tmp_path)
    write_record(folder / CONFIG, to_dict(tiny.run()))
    write_manifest(folder, Manifest(status="stopped", step=16))
    assert call(f"--workdir={folder}") == 0
    assert "stopped    16  48" in capsys.readouterr().out


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no study"):
        call(f"--workdir={tmp_path}")


def test_it_loads_no_jax_and_writes_nothing(workdir):
    before = {path: path.stat().st_mtime_ns for path in Path(workdir).rglob("*")}
    code = (
        "import sys, runpy, atexit\n"
        "atexit.register(lambda: print(sorted({'jax', 'flax', 'orbax', 'matplotlib'} "
        "& set(sys.modules))))\n"
        "runpy.run_module('launch.status', run_name='__main__', alter_sys=True)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, f"--workdir={workdir}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines()[-1] == "[]", answer.stdout
    assert {path: path.stat().st_mtime_ns for path in Path(workdir).rglob("*")} == before


def test_a_hundred_units_need_no_more_than_a_few_small_files_each(tmp_path, monkeypatch):
    study, workdir = tiny.study(streams=100), epath.Path(tmp_path)
    for unit in units(study):
        folder = workdir / "runs" / unit.name
        (folder / "metrics").mkdir(parents=True)
        for step in range(20):
            (folder / "metrics" / f"{step:012d}-{step:012d}.npz").write_bytes(b"no block")
        write_manifest(folder, Manifest(status="running", step=0))
    start = time.process_time()
    found = study_status(study, workdir)
    assert found.counts == {"stopped": 100} and {unit.step for unit in found.units} == {19}
    assert time.process_time() - start < 5  # about one on an idle core
