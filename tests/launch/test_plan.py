"""The launcher of plans: what it prints and writes, and what it refuses."""

import json

import pytest
import tiny
from absl import flags
from absl.testing import flagsaver

from launch import plan
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.planning import ahead
from rare_retention.planning.topology import CHIPS
from rare_retention.study.grid import Study, check_flags

SMALL = ["--config=configs/synthetic/injection.py"]
SMALL += [f"--config.{name}={value}" for name, value in tiny.CHANGES.items()]
LANGUAGE = ["--config=configs/olmo/comparison.py", "--config.run.setting.sizes=4M"]


@pytest.fixture(scope="module", autouse=True)
def flags_of_every_launcher():
    if "config" not in flags.FLAGS:
        flags.DEFINE_string("config", None, "as `flags.run` defines it")
    if "extensions" not in flags.FLAGS:
        flags.DEFINE_list("extensions", [], "as `flags.run` defines it")


def call(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return plan.main(command_line.parse(["plan", *arguments], Study, check=check_flags))


def test_a_plan_is_printed_and_written_without_corpus_or_accelerator(tmp_path, capsys):
    file = tmp_path / "plan.json"
    assert call(*LANGUAGE, "--topology=h100:8", f"--json={file}", "--mfu=0.5") == 0
    text = capsys.readouterr().out
    assert "h100:8: 8 chips on 1 host" in text and "assumed MFU of 0.5" in text
    written = json.loads(file.read_text())
    (unit,) = written["units"]
    assert unit["units_alike"] == 12
    assert written["chip_hours"]["h100:8"] == pytest.approx(12 * unit["chip_hours"])
    flops = unit["flops_per_step"]
    assert flops["walked"] == pytest.approx(flops["analytic"], rel=0.02)
    assert unit["seconds_per_step"] == pytest.approx(flops["analytic"] / (0.5 * 8 * 989e12))
    assert {"fits", "bytes_per_device", "capacity", "largest_buffers", "collectives"} <= set(unit)
    assert {"checkpoint_bytes", "snapshot_bytes", "minutes_per_call", "flags"} <= set(unit)


def test_a_table_of_topologies_is_markdown(tmp_path):
    file = tmp_path / "table.md"
    assert call(*SMALL, "--topologies=h100:1,h200:1", f"--markdown={file}") == 0
    head, _, row, last = file.read_text().splitlines()
    assert head == "| size | h100:1 | h200:1 |"
    assert row.startswith("| 2, 8 | data;") and last.startswith("| chip-hours of the study |")


def test_what_needs_other_flags_ends_with_1_and_says_them(monkeypatch, capsys):
    small = CHIPS["h100"]._replace(memory=12 * 2**30)
    monkeypatch.setitem(CHIPS, "h100", small)
    assert call(*LANGUAGE, "--topology=h100:8") == 1
    assert "flags      --config.run.accumulate=" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --topology or --topologies"),
        (["--topology=v5e:4x4", "--topologies=all"], "expected --topology or --topologies"),
        (
            ["--topology=v5e:4x5"],
            "--topology=v5e:4x5: no slice of v5e has that shape; nearest: v5e",
        ),
        (["--topologies=h100:8,v9:2"], "--topology=v9:2: not known; did you mean v"),
        (["--topology=cpu:8", "--mfu=1.5"], "--mfu=1.5: expected above 0 and at most 1"),
        (["--topology=cpu:8", "--json=/no/where.json"], "there is no folder /no"),
        (["--topology=h100:8", "--unit=x"], "--unit=x: no such unit"),
        (
            ["--topology=h100:8", "--config.run.mesh.fsdp=3", "--config.run.mesh.data=1"],
            "run.batch: 1024 rows cannot be spread evenly over 3 devices",
        ),
        (
            ["--topology=h100:8", "--config.run.mesh.model=16"],
            "run.mesh.model: a mesh of 1 x -1 x 1 x 16 does not fit 8 devices",
        ),
        (
            ["--topology=h100:16", "--config.run.mesh.model=16"],
            "run.mesh.model: weights have a dimension of 8, which cannot be spread evenly over 16",
        ),
        (
            ["--topology=h100:8", "--config.run.batch=4"],
            "run.batch: 4 rows cannot be spread evenly over 8 devices; nearest: 8",
        ),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    with pytest.raises(UserError) as error:
        call(*LANGUAGE, *arguments)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_libtpu_that_is_not_there_is_said_before_anything_is_traced(monkeypatch):
    monkeypatch.setattr(ahead.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs libtpu"):
        call(*SMALL, "--topology=v5e:2x2")
