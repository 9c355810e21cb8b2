"""The launcher of scaling laws: a study or a table in, printed lines and files out."""

import json

import made_scaling as made
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import scaling
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record.dataset import save


def call(*arguments):
    """Exit code of the launcher; its UserError passes through."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return scaling.main(command_line.parse(["launch", *arguments]))


@pytest.fixture
def workdir(tmp_path):
    save(made.ladder(), epath.Path(tmp_path) / "results.nc")
    return tmp_path


@pytest.fixture
def table(tmp_path):
    """Losses of the planted law as text, and those of a task that no size learns."""
    rng = np.random.default_rng(0)
    lines = ["N,D,loss,task"]
    for size in made.SIZES.values():
        for tokens in (1e8, 4e8, 16e8):
            lines.append(f"{size},{tokens},{made.losses(size, tokens, 0.003, rng)},text")
            lines.append(f"{size},{tokens},{np.log(2) + 1e-4 * rng.standard_normal()},addition")
    path = tmp_path / "points.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_study_leaves_law_and_figure(workdir, capsys):
    assert call(f"--workdir={workdir}") == 0
    (found,) = json.loads((workdir / "scaling.json").read_text())
    alpha = found["law"]["alpha"]
    assert alpha["low"] < made.LAW.alpha < alpha["high"]
    assert found["covers"] == "streams and runs" and found["points"] == 24
    assert (workdir / "scaling.png").read_bytes()[:4] == b"\x89PNG"
    assert (workdir / "scaling.svg").read_text().startswith("<?xml")
    printed = capsys.readouterr().out
    assert "text: 24 points of 4 sizes" in printed
    assert f"alpha  {alpha['estimate']:.4g} ({alpha['low']:.4g} to {alpha['high']:.4g})" in printed
    pairs = [line.split() for line in printed.splitlines() if line.startswith("  1M ")][-3:]
    assert [line[1] for line in pairs] == ["4M", "16M", "64M"]
    assert pairs[-1][2:4] == ["model", "scaling"]
    assert "* outside the sizes or tokens that were measured" in printed


def test_all_steps_count_more_points_that_are_too_high(workdir):
    arguments = ("--all_steps", "--tasks=text", f"--folder={workdir}/all")
    assert call(f"--workdir={workdir}", *arguments) == 0
    (found,) = json.loads((workdir / "all" / "scaling.json").read_text())
    assert found["points"] == 48
    assert not (workdir / "scaling.json").exists()


def test_a_table_with_all_its_tasks(table, capsys):
    assert call(f"--table={table}", "--tasks=all", "--epsilon=0.5", "--huber=0.001") == 0
    (found,) = json.loads((table.parent / "scaling.json").read_text())
    assert found["name"] == "text" and found["epsilon"] == 0.5 and found["covers"] == "runs"
    printed = capsys.readouterr().out
    assert "epsilon = 0.5" in printed
    assert "not fitted: addition: neither size nor data lowers its loss of 0.693" in printed


BAD = {
    "nothing": ([], "one of --workdir and --table is needed"),
    "both": (["--table={table}", "--workdir=x"], "one of --workdir and --table is needed"),
    "no file": (["--table={table}x"], "points.csvx: no such file; expected a CSV table"),
    "no results": (["--workdir={folder}"], "results.nc: no results; run the study first"),
    "task": (
        ["--table={table}", "--tasks=2"],
        "tasks: expected 0 (text), 1 (addition) or all, got '2'",
    ),
    "no law": (["--table={table}", "--tasks=1"], "addition: neither size nor data"),
    "epsilon": (["--table={table}", "--epsilon=-1"], "--epsilon must be a finite number of nats"),
    "steps": (["--table={table}", "--all_steps"], "--all_steps needs a study"),
    "stray": (["--table={table}", "all"], "unexpected argument 'all'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, table):
    arguments, message = BAD[case]
    before = sorted(table.parent.iterdir())
    with pytest.raises(UserError) as caught:
        call(*(text.format(table=table, folder=table.parent) for text in arguments))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(table.parent.iterdir()) == before
