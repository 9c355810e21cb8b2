"""The report that is built again while units finish."""

import pytest
import tiny
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import report
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.study.folder import claim
from rare_retention.study.grid import units

STUDY = tiny.study(streams=3)


@pytest.fixture
def workdir(tmp_path):
    claim(STUDY, epath.Path(tmp_path))
    return epath.Path(tmp_path)


@pytest.fixture
def built(monkeypatch):
    """What was finished at each time that the report was built."""
    found = []

    def build(study, workdir):
        found.append(sum(1 for _ in workdir.glob("runs/*/manifest.json")))

    monkeypatch.setattr(report, "_build", build)
    return found


def finish(workdir, index, status="finished"):
    folder = workdir / "runs" / units(STUDY)[index].name
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, Manifest(status=status, step=48))


def test_it_is_built_when_a_unit_has_finished_and_not_otherwise(workdir, built, capsys):
    between = iter(
        [
            lambda: None,
            lambda: finish(workdir, 0),
            lambda: None,
            lambda: finish(workdir, 1, "running"),
            lambda: finish(workdir, 1),
            lambda: finish(workdir, 2),
        ]
    )
    report.watch(workdir, lambda: next(between)())
    assert built == [1, 2, 3]
    said = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert said == [f"{n} of 3 units finished" for n in range(4)]


def test_what_cannot_be_read_now_is_said_and_tried_at_the_next_change(workdir, capsys, monkeypatch):
    tried = []

    def broken(study, workdir):
        tried.append(1)
        raise UserError("a block is being cut off")

    monkeypatch.setattr(report, "_build", broken)
    finish(workdir, 0)
    between = iter([lambda: None, lambda: [finish(workdir, 1), finish(workdir, 2)]])
    report.watch(workdir, lambda: next(between)())
    assert len(tried) == 2 and "not built: a block is being cut off" in capsys.readouterr().out


def test_ctrl_c_leaves_cleanly(workdir, built, capsys, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(report.time, "sleep", interrupt)
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        arguments = command_line.parse(["launch", f"--workdir={workdir}", "--watch"])
        assert report.main(arguments) == 0
    assert "stopped watching" in capsys.readouterr().out and not built
