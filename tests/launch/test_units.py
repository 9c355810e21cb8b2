"""What `launch.study` and `launch.worker` share."""

import pytest
import tiny
from etils import epath

from launch import _units
from rare_retention.config import ConfigError
from rare_retention.errors import UserError
from rare_retention.study import execute as module
from rare_retention.study.execute import Outcome
from rare_retention.watch.watching import Watching


@pytest.fixture
def ended(monkeypatch):
    """Has `execute` say what becomes of the units."""

    def give(outcome):
        monkeypatch.setattr(module, "execute", lambda *_, **__: outcome)

    return give


def train(tmp_path, **changes):
    own = {"retry_failed": False, "report": False, "watched": Watching()} | changes
    return _units.train(tiny.study(), epath.Path(tmp_path), **own)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claims": ("no such claim",)}, "no such claim"),
        ({"figures": ("no such figure",)}, "no such figure"),
        ({"run__stream": 3}, "a study numbers its own streams, got 3; set `streams`"),
    ],
)
def test_what_a_study_cannot_have_is_refused(changes, message):
    _units.check(tiny.study())
    with pytest.raises((ConfigError, UserError), match=message):
        _units.check(tiny.study(**changes))


def test_a_stop_is_no_end(tmp_path, ended, capsys):
    ended(Outcome(1, {"a": "no room"}, stopped=True))
    assert train(tmp_path, report=True) == 130
    assert capsys.readouterr().out == (
        f"stopped and saved; the same command goes on with {tmp_path}\n"
    )


def test_failures_are_named_and_make_the_exit_code(tmp_path, ended, capsys):
    ended(Outcome(2, {"a": "no room"}, stopped=False))
    assert train(tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        "failed: a: no room; try again with --retry_failed",
        f"python -m launch.report --workdir={tmp_path} makes the report of all that is there",
        "2 units finished, 1 failed",
    ]
    ended(Outcome(2, {}, stopped=False))
    assert train(tmp_path) == 0


def test_one_unit_that_failed_is_named(tmp_path, ended, capsys):
    ended(Outcome(0, {"a": "no room"}, stopped=False))
    assert train(tmp_path, only="a") == 1
    assert "a has failed; python -m launch.report" in capsys.readouterr().out


def test_the_report_is_made_on_request_where_something_is_finished(tmp_path, ended, monkeypatch):
    made = []
    build = "rare_retention.report.build.build"
    monkeypatch.setattr(build, lambda study, workdir: made.append(workdir) or [])
    for finished, report in ((0, True), (1, False), (1, True)):
        ended(Outcome(finished, {}, stopped=False))
        train(tmp_path, report=report)
    assert made == [epath.Path(tmp_path)]
