"""Every file of a study is read; what is damaged can be set aside."""

import shutil

import pytest
import tiny
from etils import epath

from rare_retention.study.execute import execute
from rare_retention.study.folder import RUNS
from rare_retention.study.inspection import ASIDE, inspect, set_aside
from rare_retention.study.results import collect


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    workdir = epath.Path(tmp_path_factory.mktemp("study"))
    study = tiny.study(run__steps=16, run__measure__cycles=1, run__snapshots__cycles=1)
    execute(study, workdir)
    collect(study, workdir)
    return workdir


@pytest.fixture
def workdir(done, tmp_path):
    shutil.copytree(done, tmp_path / "study")
    return epath.Path(tmp_path / "study")


def test_whole_files_are_no_faults(workdir):
    read = []
    assert list(inspect(workdir, read.append)) == []
    assert {"recipe.json", "study.json", "results.nc"} <= set(read) and len(read) > 5


@pytest.mark.parametrize("name", ["recipe.json", "study.json", "manifest.json"])
def test_what_is_not_there_is_a_fault(workdir, name):
    place = workdir if name != "manifest.json" else next((workdir / RUNS).iterdir())
    (place / name).unlink()
    assert place / name in [fault.path for fault in inspect(workdir)]


@pytest.mark.parametrize("name", ["study.json", "results.nc"])
def test_what_is_damaged_is_named_and_set_aside(workdir, name):
    path = workdir / name
    path.write_bytes(path.read_bytes()[:-5])
    (fault,) = [own for own in inspect(workdir) if own.path == path]
    assert fault.mends and "\n" not in fault.why and name in fault.why
    assert set_aside(fault) and not path.exists()
    assert path.with_name(name + ASIDE).exists() and not set_aside(fault)
