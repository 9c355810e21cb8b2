"""The launcher that shows published models and writes those of a run, called as a shell would."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import exchange
from rare_retention import flags as command_line
from rare_retention.config import to_dict
from rare_retention.errors import UserError
from rare_retention.experiment import Run
from rare_retention.models.exchange import load
from rare_retention.record.checkpoints import Store
from rare_retention.record.files import write_json
from rare_retention.settings.language import Language
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus

GOLDEN = Path(__file__).parent.parent / "models" / "golden"


def call(*arguments):
    """Exit code of the launcher; its UserError passes through."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return exchange.main(command_line.parse(["exchange", *arguments]))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that kept the parameters of step 8 and the state of step 12, and those parameters."""
    folder = epath.Path(tmp_path_factory.mktemp("run"))
    np.random.default_rng(0).integers(0, 90, 5000).astype("<u2").tofile(folder / "tokens.npy")
    setting = Language(
        corpus=Corpus(path=f"{folder}/tokens.npy", vocabulary=100, end_of_document=99, held_out=4),
        window=32,
        tasks=(Comparison(per_token=1e-3, symbols=16),),
        sizes=("2x32x64x2", "tiny-16"),
        initialisations=2,
    )
    write_json(folder / "config.json", to_dict(Run(setting=setting)))
    params = setting.family.init(0)
    later = jax.tree.map(lambda leaf: leaf + 1, params)
    for root, step, tree in (
        ("retention", 8, params),
        ("resume", 12, {"step": np.int32(12), "params": later}),
    ):
        store = Store(folder / root, "identity")
        store.save(step, jax.tree.map(jax.numpy.asarray, tree))
        store.close()
    return folder, setting, params


def test_a_published_model_is_shown(capsys):
    assert call(f"--show={GOLDEN / 'ai2_rms'}") == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["norm"] == "rms" and lines["vocabulary"] == "80"
    assert lines["parameters"] == "10,352"


@pytest.mark.parametrize(
    ("arguments", "group", "row", "added", "printed"),
    [
        (
            ["--student=tiny-16", "--checkpoint=8"],
            0,
            0,
            0,
            "tiny-16:0 after step 8, 12,288 parameters",
        ),
        (["--student=tiny-16:1", "--checkpoint=12"], 0, 1, 1, "tiny-16:1 after step 12"),
        (["--student=2x32x64x2:1"], 1, 1, 1, "2x32x64x2:1 after step 12, 22,528"),
    ],
)
def test_a_model_of_a_run_is_written(run, tmp_path, capsys, arguments, group, row, added, printed):
    folder, setting, params = run
    assert call(f"--workdir={folder}", f"--to={tmp_path}/new", *arguments) == 0
    shape, found = load(epath.Path(tmp_path / "new"))
    name = sorted(params)[group]
    assert shape == setting.architectures[name]
    wanted = jax.tree.map(lambda leaf: np.asarray(leaf[row] + added), params[name])
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    assert printed in capsys.readouterr().out


BAD = {
    "nothing": ([], "expected one of --show=FOLDER and, to export, --workdir=RUN"),
    "both": (["--show=x", "--workdir=y"], "expected one of --show=FOLDER"),
    "no place": (["--workdir={run}"], "--to is required: a folder for the model"),
    "no student": (
        ["--workdir={run}", "--to={new}"],
        "--student=: no such model; expected one of tiny-16:0, tiny-16:1, 2x32x64x2:0, 2x32x64x2:1",
    ),
    "other student": (
        ["--workdir={run}", "--to={new}", "--student=4M"],
        "--student=4M: no such model; expected one of tiny-16:0,",
    ),
    "no step": (
        ["--workdir={run}", "--to={new}", "--student=tiny-16", "--checkpoint=9"],
        "--checkpoint=9: not in {run}; its checkpoints are 8, 12",
    ),
    "no run": (
        ["--workdir={new}", "--to={new}"],
        "{new}: holds no run (there is no config.json)",
    ),
    "no model": (
        ["--show={new}"],
        "{new}: holds no published model (there is no config.json)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(run, tmp_path, case):
    arguments, message = BAD[case]
    places = {"run": run[0], "new": tmp_path / "new"}
    with pytest.raises(UserError) as caught:
        call(*(argument.format(**places) for argument in arguments))
    assert message.format(**places) in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_run_of_another_layout_is_refused(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"manifest.json: written by another version of rare_rete"):
        call(f"--workdir={tmp_path}/run", f"--to={tmp_path}/new", "--student=tiny-16")
    assert not (tmp_path / "new").exists()


def test_other_settings_have_no_language_models(tmp_path):
    write_json(epath.Path(tmp_path / "config.json"), to_dict(tiny.run()))
    with pytest.raises(UserError, match="a regression setting has no language models to export"):
        call(f"--workdir={tmp_path}", f"--to={tmp_path}/new")
