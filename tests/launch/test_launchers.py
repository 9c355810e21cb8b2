"""Launchers called as a shell would, in one process: arguments in, printed lines and files out."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tiny
from absl import flags
from absl.testing import flagsaver

from launch import checkpoints, report, show_batch, study, train
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.study.grid import Study

CONFIG = "--config=configs/quickstart.py"
TINY = [f"--config.{name}={value}" for name, value in tiny.CHANGES.items()]
SMALL = [*TINY, "--config.run.steps=16", "--config.run.measure.cycles=1"]


@pytest.fixture(scope="module", autouse=True)
def config_flag():
    if "config" not in flags.FLAGS:
        flags.DEFINE_string("config", None, "as `flags.run` defines it")


def call(module, *arguments, config=Study):
    """Exit code of a launcher; its UserError passes through."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return module.main(command_line.parse(["launch", *arguments], config))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A study trained and reported by its launcher."""
    folder = tmp_path_factory.mktemp("launched")
    assert call(study, CONFIG, *SMALL, f"--workdir={folder}") == 0
    return folder


def test_a_study_leaves_its_report(workdir):
    assert (workdir / "report.html").stat().st_size > 10_000
    names = {claim["claim"] for claim in json.loads((workdir / "claims.json").read_text())}
    assert names == set(tiny.study().claims)
    assert {path.stem for path in (workdir / "figures").glob("*.svg")} == set(tiny.study().figures)


def test_the_same_command_again_trains_nothing(workdir, capsys):
    before = (workdir / "report.html").read_bytes()
    assert call(study, CONFIG, *SMALL, f"--workdir={workdir}") == 0
    assert "1 run finished, 0 failed" in capsys.readouterr().out
    assert (workdir / "report.html").read_bytes() == before


def test_report_rebuilds_from_the_runs(workdir, capsys):
    (workdir / "results.nc").unlink()
    assert call(report, f"--workdir={workdir}", config=None) == 0
    assert "report.html" in capsys.readouterr().out
    assert (workdir / "results.nc").exists()


@pytest.mark.filterwarnings(tiny.ORBAX_LEFTOVERS)
def test_checkpoints_are_listed_and_verified(workdir, capsys):
    assert call(checkpoints, f"--workdir={workdir}", "--verify", config=None) == 0
    printed = capsys.readouterr().out
    assert "resume: 1 checkpoint 16" in printed and "all checkpoints are whole" in printed
    with tiny.flipped_bit(workdir / "runs" / "stream=0" / "retention" / "8"):
        assert call(checkpoints, f"--workdir={workdir}", "--verify", config=None) == 1
    assert "retention/8: " in capsys.readouterr().out


@pytest.mark.parametrize("module", [study, train])
def test_dry_run_prints_the_plan_and_writes_nothing(module, tmp_path, capsys):
    assert call(module, CONFIG, *SMALL, f"--workdir={tmp_path}/new", "--dry_run") == 0
    printed = capsys.readouterr().out
    for word in ("students", "steps", "FLOPs", "snapshots", "regression 4", "gap 8"):
        assert word in printed
    assert not list(tmp_path.iterdir())


def test_train_trains_one_run(tmp_path, capsys):
    assert call(train, CONFIG, *SMALL, f"--workdir={tmp_path}/run") == 0
    assert "state after step 16 of 16" in capsys.readouterr().out
    assert (tmp_path / "run" / "manifest.json").exists()


def test_show_batch_prints_the_schedule(capsys):
    assert call(show_batch, CONFIG, *SMALL, "--step=1000000007", "--task=-1") == 0
    lines = capsys.readouterr().out.splitlines()
    schedule = tiny.study(run__steps=16).run.schedule()
    counts = [int(line.split()[2]) for line in lines[1:-1]]
    np.testing.assert_array_equal(counts, schedule.counts(1_000_000_007))
    assert lines[-1].startswith("regression 4 is shown next at step 1,000,000,015")


BAD = {
    "unknown field": (["--config.run.batsh=3"], "run.batsh: no such field; did you mean run.batch"),
    "mistyped": (["--config.run.batch=many"], "run.batch: expected an integer, got 'many'"),
    "tuple element": (["--config.run.setting.widths=(2,'a')"], "run.setting.widths[1]: expected"),
    "none": (["--config.run.steps=none"], "run.steps: expected an integer, got None"),
    "width": (["--config.run.setting.widths=(2,17)"], "run.setting.widths[1]: expected a width"),
    "blocks": (["--config.run.setting.tasks.block=5"], "run.setting.tasks.block: 4 tasks of 5"),
    "burst": (["--config.run.steps=640", "--config.run.exposure.gap=64"], "exposure.gap: 64"),
    "too rare": (
        ["--config.run.setting.tasks.prior=(0.9,0.0999,0.00009,0.00001)"],
        "frequencies[2]: 9e-05 is",
    ),
    "prior": (["--config.run.setting.tasks.prior=(0.5,0.2,0.1,0.1)"], "a sum of 1, got 0.9"),
    "figure": (["--config.figures=('injektion',)"], "no figure 'injektion': did you mean"),
    "claim": (["--config.claims=('peak_lag',)"], "unknown claim 'peak_lag'; did you mean"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, tmp_path):
    arguments, message = BAD[case]
    with pytest.raises(UserError) as caught:
        call(study, CONFIG, *SMALL, *arguments, f"--workdir={tmp_path}/new")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
    place = tmp_path / "file"
    place.write_text("mine")
    with pytest.raises(UserError, match="a file stands there; choose a folder"):
        call(study, CONFIG, *SMALL, f"--workdir={place}")
    assert place.read_text() == "mine"


def test_a_study_numbers_its_own_streams(tmp_path):
    with pytest.raises(UserError, match=r"run.stream: a study numbers its own streams, got 5"):
        call(study, CONFIG, *SMALL, "--config.run.stream=5", f"--workdir={tmp_path}/new")


def test_a_figure_that_cannot_be_drawn_is_refused_before_training(tmp_path):
    effect = "--config.run.measure.effect=false"
    with pytest.raises(UserError, match="interference needs predicted_change"):
        call(study, CONFIG, *SMALL, effect, f"--workdir={tmp_path}/new")
    assert not list(tmp_path.iterdir())


def test_a_workdir_of_another_study_is_refused(workdir):
    before = (workdir / "study.json").read_bytes()
    with pytest.raises(UserError, match=r"holds another study: run.batch: 32 -> 64"):
        call(study, CONFIG, *SMALL, "--config.run.batch=64", f"--workdir={workdir}")
    assert (workdir / "study.json").read_bytes() == before


def test_a_corrupted_metrics_file_is_one_line(workdir):
    path = next((workdir / "runs").glob("*/metrics/*.npz"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged") as caught:
        call(report, f"--workdir={workdir}", config=None)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["study", "train", "report", "show_batch", "checkpoints"])
def test_help_shows_an_example(name):
    shown = subprocess.run(
        [sys.executable, "-m", f"launch.{name}", "--help"], capture_output=True, text=True
    )
    assert shown.returncode == 0 and f"python -m launch.{name}" in shown.stdout


def test_errors_exit_with_2_on_one_line(tmp_path):
    failed = subprocess.run(
        [sys.executable, "-m", "launch.study", CONFIG, "--config.run.batsh=1", "--workdir=x"],
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 2
    assert failed.stderr.strip() == "run.batsh: no such field; did you mean run.batch?"
