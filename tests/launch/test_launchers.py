"""Launchers called as a shell would, in one process: arguments in, printed lines and files out."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny
import tiny_text
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import checkpoints, report, show_batch, study, train
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.record.dataset import load
from rare_retention.record.files import write_record
from rare_retention.study.grid import Study

CONFIG = "--config=configs/synthetic/injection.py"
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
    assert "1 unit finished, 0 failed" in capsys.readouterr().out
    assert (workdir / "report.html").read_bytes() == before


def test_report_rebuilds_from_the_runs(workdir, capsys):
    (workdir / "results.nc").unlink()
    assert call(report, f"--workdir={workdir}", config=None) == 0
    assert "report.html" in capsys.readouterr().out
    assert (workdir / "results.nc").exists()


def test_a_workdir_may_be_called_as_a_pattern_is(workdir, tmp_path, capsys):
    shutil.copytree(workdir, tmp_path / "e[2]")
    assert call(checkpoints, f"--workdir={tmp_path}/e[2]", config=None) == 0
    assert "resume: 1 checkpoint 16" in capsys.readouterr().out
    assert call(report, f"--workdir={tmp_path}/e[2]", config=None) == 0
    assert "inconclusive A wide student builds up more" in capsys.readouterr().out


def test_checkpoints_are_listed_and_verified(workdir, capsys):
    assert call(checkpoints, f"--workdir={workdir}", "--verify", config=None) == 0
    printed = capsys.readouterr().out
    assert "resume: 1 checkpoint 16" in printed and "all files are whole" in printed
    with tiny.flipped_bit(workdir / "runs" / "stream=0" / "retention" / "8"):
        assert call(checkpoints, f"--workdir={workdir}", "--verify", config=None) == 1
    assert "retention/8: " in capsys.readouterr().out


def test_what_is_damaged_is_set_aside_and_trained_again(workdir, tmp_path, capsys):
    """A snapshot, a block of metrics and the results; then all is as it was, to the last bit."""
    copied = tmp_path / "study"
    shutil.copytree(workdir, copied)
    run = copied / "runs" / "stream=0"
    before = {path.name: path.read_bytes() for path in (run / "metrics").iterdir()}
    with tiny.flipped_bit(run / "retention" / "8", undo=False):
        pass
    for path in ((run / "metrics") / sorted(before)[0], copied / "results.nc"):
        path.write_bytes(path.read_bytes()[:-9])
    assert call(checkpoints, f"--workdir={copied}", "--repair", config=None) == 0
    printed = capsys.readouterr().out
    assert printed.count("[set aside as ") == 3 and "make them again" in printed
    assert (run / "retention" / "8.damaged").exists()
    with pytest.warns(UserWarning, match="step 0 was passed, but metrics/.* is not there any more"):
        assert call(study, CONFIG, *SMALL, f"--workdir={copied}") == 0
    assert {path.name: path.read_bytes() for path in (run / "metrics").glob("*.npz")} == before
    assert call(checkpoints, f"--workdir={copied}", "--verify", config=None) == 0


def test_checkpoints_of_another_layout_are_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"manifest.json: written by another version of rare_rete"):
        call(checkpoints, f"--workdir={tmp_path}", config=None)


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
        "setting.tasks.prior[2]: 9e-05 is",
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


LANGUAGE = "--config=configs/quickstart_lm.py"
TINY_TEXT = {
    "run.setting.corpus.path": tiny_text.corpus().path,
    "run.setting.corpus.vocabulary": tiny_text.VOCABULARY,
    "run.setting.corpus.end_of_document": tiny_text.END,
    "run.setting.corpus.held_out": 5,
    "run.setting.window": 16,
    "run.setting.tasks": (
        "({'kind': 'comparison', 'per_token': 0.01, 'symbols': 9},"
        "{'kind': 'recall', 'per_token': 0.01, 'symbols': 7})"
    ),
    "run.setting.sizes": ("1x8x16x1", "1x16x32x2"),
    "run.setting.evaluated": 8,
    "run.optimizer.horizon": 6,
    "run.optimizer.warmup": 1,
    "run.batch": 8,
    "run.steps": 6,
    "run.measure.every": 3,
    "run.mesh.data": 1,
    "streams": 1,
    "branches": (),
    "grid": "({'field': 'setting.tasks[0].per_token', 'values': (0.04, 0.01)},)",
    "figures": ("size_frequency", "task_text"),
    "claims": ("larger_learns_rarer",),
}


def language(**changes):
    """Arguments of a tiny study of language models, `run__steps=8` for `run.steps`."""
    own = {name.replace("__", "."): value for name, value in changes.items()}
    return [LANGUAGE, *(f"--config.{name}={value}" for name, value in (TINY_TEXT | own).items())]


@pytest.fixture(scope="module")
def text_workdir(tmp_path_factory):
    """A study of language models, trained and reported by its launcher."""
    folder = tmp_path_factory.mktemp("language")
    assert call(study, *language(), f"--workdir={folder}") == 0
    return folder


def test_a_study_of_language_models_leaves_its_report(text_workdir):
    assert (text_workdir / "report.html").stat().st_size > 10_000
    found = {path.stem for path in (text_workdir / "figures").glob("*.svg")}
    assert found == {"size_frequency", "task_text"}


def test_its_results_name_sizes_tasks_and_frequencies(text_workdir):
    results = load(text_workdir / "results.nc")
    assert results["size"].values.tolist() == ["1x8x16x1", "1x16x32x2"]
    assert results["width"].values.tolist() == [8, 16]
    small, large = results["parameters"].values.tolist()
    assert 2 * 8 * 256 < small < large
    assert results["step_rows"].values.tolist() == [8, 8]
    assert results["step_tokens"].values.tolist() == [128, 128]
    assert results["task"].values.tolist() == ["text", "comparison", "recall"]
    assert results["per_token"].values.tolist() == [0.04, 0.01]
    assert results["loss"].dims == (
        *("stream", "per_token", "size", "initialisation", "step", "task"),
    )
    assert results["step"].values.tolist() == [0, 3, 6]
    assert np.isfinite(results["loss"]).all() and results["finished"].all()
    rates = results["instances_per_token"]
    assert rates.sel(task="comparison").values.tolist() == [0.04, 0.01]
    np.testing.assert_allclose(results["frequency"].sel(task="comparison"), [0.64, 0.16])
    assert results["loss"].attrs["units"] == "nats"


def test_a_study_of_language_models_goes_on_where_its_corpus_moved(text_workdir, tmp_path, capsys):
    """The same command but for the path trains nothing."""
    tiny_text.write_tokens(tmp_path)
    stored = epath.Path(text_workdir) / "study.json"
    text = stored.read_text().replace(tiny_text.corpus().path, "/gone")
    write_record(stored, json.loads(text))  # as where it was written
    moved = language(run__setting__corpus__path=tmp_path)
    assert call(study, *moved, f"--workdir={text_workdir}") == 0
    assert "2 units finished, 0 failed" in capsys.readouterr().out
    other = language(run__setting__corpus__path=tmp_path, run__setting__task_seed=1)
    with pytest.raises(UserError, match=r"holds another study: run.setting.task_seed: 0 -> 1;"):
        call(study, *other, f"--workdir={text_workdir}")


def test_dry_run_tells_of_tokens(tmp_path, capsys):
    assert call(study, *language(), f"--workdir={tmp_path}/new", "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "6 of 8 rows of 16 tokens; 768 tokens" in printed
    assert "comparison       0.64 of the rows, 5.12 a step, 31 in all" in printed
    assert not list(tmp_path.iterdir())


def test_show_batch_shows_slots(capsys):
    assert call(show_batch, *language(run__setting__per_sequence=2), "--step=3") == 0
    counts = r"^  (text|comparison|recall) +(\d+)"
    printed = re.findall(counts, capsys.readouterr().out, re.MULTILINE)
    assert [name for name, _ in printed] == ["text", "comparison", "recall"]
    assert sum(int(count) for _, count in printed) == 16


def _odd(folder):
    (folder / "0.npy").write_bytes(b"x" * 1001)


def _empty(folder):
    (folder / "0.npy").write_bytes(b"")


def _beyond(folder):
    np.full(4000, 300, "<u2").tofile(folder / "0.npy")


BAD_TEXT = {
    "odd size": (_odd, {}, "0.npy: 1,001 bytes are no whole number of uint16 tokens; set corpus"),
    "empty": (_empty, {}, ": holds no tokens"),
    "no file": (lambda folder: None, {}, ": no file of tokens is in it, named .npy or .bin"),
    "beyond": (_beyond, {}, "0.npy: holds token id 300, but the vocabulary has 200; set corpus"),
    "short": (
        tiny_text.write_tokens,
        {"run__setting__window": 4096, "run__setting__per_sequence": 1000},
        "no file has a whole window of 4,096 tokens; the longest has 2,000",
    ),
    "held out": (
        tiny_text.write_tokens,
        {"run__setting__corpus__held_out": 189},
        "corpus.held_out: 189 of the 189 windows of 16 tokens in",
    ),
    "labels": (
        tiny_text.write_tokens,
        {"run__setting__tasks[0].labels": f"({tiny_text.END}, 0)"},
        f"tasks[0].labels: token {tiny_text.END} ends documents, or is a label of another task",
    ),
    "size": (
        tiny_text.write_tokens,
        {"run__setting__sizes": "('20m',)"},
        "run.setting.sizes[0]: no size '20m'; did you mean '20M'?",
    ),
    "task": (
        tiny_text.write_tokens,
        {"run__setting__tasks": "({'kind': 'comparisons'},)"},
        "run.setting.tasks[0].kind: expected 'comparison' or 'digit_addition' or ",
    ),
    "frequency": (
        tiny_text.write_tokens,
        {"run__setting__tasks[1].per_token": 0.06, "grid": "()"},
        "run.setting.per_sequence: frequencies of 0.01 + 0.06 per token are 1.12 instances in a "
        "sequence of 16; expected per_sequence above it, at least 2",
    ),
    "burst": (
        tiny_text.write_tokens,
        {"run__exposure__placement": "burst", "run__exposure__gap": 8, "run__steps": 16},
        "run.exposure.gap: 8 steps make a burst of up to 11 rows, too many in a batch of 8; "
        "expected at most 6, or more than 1 as setting.per_sequence",
    ),
    "too rare": (
        tiny_text.write_tokens,
        {"run__setting__tasks[1].per_token": 1e-4},
        "setting.tasks[1].per_token: 0.0001 is 0.0768 expected rows in 6 steps of 8 rows; "
        "expected one or more: a frequency of 0.0013020833, or 79 steps",
    ),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_bad_text_is_one_line_and_writes_nothing(case, tmp_path):
    write, changes, message = BAD_TEXT[case]
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write(corpus)
    arguments = language(run__setting__corpus__path=corpus, **changes)
    with pytest.raises(UserError) as caught:
        call(study, *arguments, f"--workdir={tmp_path}/new")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


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


def test_errors_exit_with_2_on_one_line(tmp_path):
    failed = subprocess.run(
        [sys.executable, "-m", "launch.study", CONFIG, "--config.run.batsh=1", "--workdir=x"],
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 2
    assert failed.stderr.strip() == "run.batsh: no such field; did you mean run.batch?"
