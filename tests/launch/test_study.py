"""The launcher of studies: units listed, trained one by one, and what is refused."""

import json
from pathlib import Path

import pytest
import tiny
import tiny_text
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import report, study
from rare_retention import flags as command_line
from rare_retention.config import to_dict
from rare_retention.errors import UserError
from rare_retention.record.dataset import load
from rare_retention.study.grid import Study, check_flags

CONFIG = "--config=configs/synthetic/injection.py"
SMALL = [f"--config.{name}={value}" for name, value in tiny.CHANGES.items()]
SMALL += ["--config.run.steps=16", "--config.run.measure.cycles=1", "--config.apart=true"]
UNITS = ("stream=0,size=2", "stream=0,size=8")


@pytest.fixture(scope="module", autouse=True)
def config_flag():
    if "config" not in flags.FLAGS:
        flags.DEFINE_string("config", None, "as `flags.run` defines it")


def call(module, *arguments, config=Study):
    """Exit code of a launcher; its UserError passes through."""
    check = check_flags if module is study else None
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return module.main(command_line.parse(["launch", *arguments], config, check=check))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study of two sizes apart, trained by one command."""
    folder = tmp_path_factory.mktemp("whole")
    assert call(study, CONFIG, *SMALL, f"--workdir={folder}") == 0
    return folder


def test_units_one_by_one_give_the_same_report(whole, tmp_path, capsys):
    for name in UNITS:
        assert call(study, CONFIG, *SMALL, f"--workdir={tmp_path}", f"--unit={name}") == 0
        assert not (tmp_path / "report.html").exists()
    assert "launch.report" in capsys.readouterr().out
    assert call(report, f"--workdir={tmp_path}", config=None) == 0
    assert (tmp_path / "claims.json").read_text() == (whole / "claims.json").read_text()
    one, two = (load(epath.Path(folder) / "results.nc") for folder in (whole, tmp_path))
    assert one.equals(two)


def test_units_are_listed_with_their_state(whole, capsys):
    arguments = [CONFIG, *SMALL, "--config.streams=2", "--units"]
    assert call(study, *arguments, f"--workdir={whole}") == 0
    assert capsys.readouterr().out.splitlines() == [
        "stream=0,size=2  finished",
        "stream=0,size=8  finished",
        "stream=1,size=2  not started",
        "stream=1,size=8  not started",
    ]
    assert call(study, *arguments, "--config.run.steps=20", f"--workdir={whole}") == 0
    assert "stream=0,size=2  at step 16 of 20" in capsys.readouterr().out


def test_units_are_listed_without_the_corpus(tmp_path, capsys):
    config = tmp_path / "study.py"
    run = to_dict(tiny_text.run())
    run["setting"]["corpus"]["path"] = str(tmp_path / "nowhere")
    config.write_text(
        "from rare_retention.config import from_dict\n"
        "from rare_retention.study.grid import Study\n"
        f"def get_config():\n    return from_dict(Study, {{'name': 'x', 'run': {run!r}}})\n"
    )
    workdir = tmp_path / "new"
    apart = [f"--config={config}", "--config.apart=true", f"--workdir={workdir}"]
    assert call(study, *apart, "--units") == 0
    assert capsys.readouterr().out.splitlines() == [
        "stream=0,size=2x16x32x2  not started",
        "stream=0,size=1x8x16x2  not started",
    ]
    assert not workdir.exists()


def test_a_dry_run_needs_neither_the_corpus_nor_the_devices(tmp_path, capsys):
    arguments = ["--config=configs/olmo/comparison.py", f"--workdir={tmp_path / 'new'}"]
    arguments += ["--config.run.setting.sizes=4M", "--config.run.mesh.fsdp=16"]
    assert call(study, *arguments, "--dry_run") == 0
    text = capsys.readouterr().out
    assert "text       data/dolma is not here: 50,280 ids, as the config says" in text
    assert "devices    16, of which 8 x cpu here" in text
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match=r"data/dolma: there is no such file"):
        call(study, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unit=stream=9"], "--unit=stream=9: no such unit; --units lists them all"),
        (["--unit=stream=0,size=2", "--units"], "--units lists all units and --unit trains one"),
        (
            ["--config.grid=({'field': 'exposure.gap', 'values': (4, 8)},)"],
            r"run.exposure.gap: the study's grid sets exposure.gap to 4, 8, .*"
            r"--config.grid\[0\].values=VALUE",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(arguments, message, tmp_path):
    workdir = tmp_path / "new"
    with pytest.raises(UserError, match=message):
        call(study, CONFIG, *SMALL, *arguments, f"--workdir={workdir}")
    assert not workdir.exists()


def test_together_and_apart_do_not_share_a_workdir(whole):
    with pytest.raises(UserError, match="holds another study: apart: True -> False"):
        call(study, CONFIG, *SMALL, "--config.apart=false", f"--workdir={whole}")


def test_a_failed_unit_leaves_its_traceback(tmp_path, monkeypatch, capsys):
    from rare_retention.study import execute as module

    def broken(run, folder, label, interruption, parent, watching, lock):
        raise ZeroDivisionError("an author's mistake")

    monkeypatch.setattr(module, "train", broken)
    assert call(study, CONFIG, *SMALL, f"--workdir={tmp_path}") == 1
    place = Path(tmp_path) / "runs" / UNITS[0]
    assert f"(traceback: {place / 'failure.txt'})" in capsys.readouterr().out
    text = (place / "failure.txt").read_text()
    assert "test_study.py" in text and "in broken" in text and "an author's mistake" in text
    assert json.loads((place / "failure.json").read_text())["reason"].startswith("ZeroDivision")
