"""Flags of what is to be seen of runs while they are trained."""

import importlib.util

import pytest
import tiny
from absl import flags
from absl.testing import flagsaver

from launch import study, train
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.study.grid import Study

CONFIG = "--config=configs/synthetic/injection.py"
SMALL = [f"--config.{name}={value}" for name, value in tiny.CHANGES.items()]
SMALL += ["--config.run.steps=16", "--config.run.measure.cycles=1"]


@pytest.fixture(scope="module", autouse=True)
def config_flag():
    if "config" not in flags.FLAGS:
        flags.DEFINE_string("config", None, "as `flags.run` defines it")


def call(module, *arguments):
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return module.main(command_line.parse(["launch", CONFIG, *SMALL, *arguments], Study))


@pytest.mark.parametrize("module", [study, train])
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--profile=20:10", "--profile=20:10: expected FIRST:LAST"),
        ("--profile=10:17", "--profile=10:17: no run has these steps; they go from 0 to 16"),
        ("--track=tensorbord", "--track=tensorbord: expected some of tensorboard, wandb"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(module, flag, message, tmp_path):
    for dry in ((), ("--dry_run",)):
        with pytest.raises(UserError, match=message):
            call(module, f"--workdir={tmp_path}/new", flag, *dry)
    assert not list(tmp_path.iterdir())


def test_a_run_with_a_profile_and_without_trackers(tmp_path, capsys):
    arguments = (f"--workdir={tmp_path}/run", "--track=none", "--profile=4:6")
    assert call(train, *arguments) == 0
    assert f"profile of steps 4:6: {tmp_path}/run/profile" in capsys.readouterr().out
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert call(train, *arguments) == 0  # nothing is left to train
    assert "no profile: no run was trained through the steps 4:6" in capsys.readouterr().out


def test_by_default_tensorboard_if_it_is_there(tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "tensorboardX" else found(name, *rest)  # noqa: E731
    if found("tensorboardX"):
        assert call(train, f"--workdir={tmp_path}/with") == 0
        assert list((tmp_path / "with" / "tensorboard").iterdir())
    capsys.readouterr()
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    assert call(train, f"--workdir={tmp_path}/without") == 0
    assert "no scalars are written for TensorBoard: tensorboardX is not" in capsys.readouterr().out
    assert not (tmp_path / "without" / "tensorboard").exists()
    with pytest.raises(UserError, match="--track=tensorboard: tensorboardX is not installed"):
        call(train, f"--workdir={tmp_path}/refused", "--track=tensorboard")
