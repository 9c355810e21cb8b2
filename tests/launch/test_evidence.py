"""The launcher of evidence from snapshots: studies, published models, and what it refuses."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
import tiny_text
from absl import flags
from absl.testing import flagsaver
from etils import epath

from launch import evidence
from rare_retention import flags as command_line
from rare_retention.errors import UserError
from rare_retention.models import exchange
from rare_retention.record import seal
from rare_retention.record.checkpoints import Store
from rare_retention.record.dataset import load
from rare_retention.record.manifest import Manifest, write_manifest
from rare_retention.report.figures import FROM_SNAPSHOTS
from rare_retention.representation import das, fourier
from rare_retention.study import evidence as module
from rare_retention.study.axes import Axis
from rare_retention.study.folder import claim
from rare_retention.study.grid import Study, units
from rare_retention.tasks import Comparison, ModularAddition

RATES = (1 / tiny_text.TOKENS, 3 / tiny_text.TOKENS)
NAMES = ["modular addition", "comparison"]
FEW = "--pairs=20"


def call(*arguments):
    """Exit code of the launcher; its UserError passes through."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        return evidence.main(command_line.parse(["evidence", *arguments]))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(das, "_STEPS", 2)
    monkeypatch.setattr(fourier, "RELABELLINGS", 2)


@pytest.fixture(scope="module")
def study():
    """Two frequencies of a sum, beside a comparison; models of one size."""
    setting = tiny_text.language(
        tasks=(
            ModularAddition(per_token=RATES[0], symbols=5),
            Comparison(per_token=1 / tiny_text.TOKENS, symbols=5),
        ),
        sizes=("2x16x32x2",),
        initialisations=2,
    )
    return Study(
        name="snapshots",
        run=tiny_text.run(setting),
        grid=(Axis(field="setting.tasks[0].per_token", values=RATES),),
    )


@pytest.fixture(scope="module")
def kept(study, tmp_path_factory):
    """The study's folder with snapshots of initial weights; one run has a step more."""
    workdir = epath.Path(tmp_path_factory.mktemp("kept"))
    claim(study, workdir)
    for i, unit in enumerate(units(study)):
        folder = workdir / "runs" / unit.name
        write_manifest(folder, Manifest(identity=unit.run.identity()))
        store = Store(folder / "retention", unit.run.identity())
        for step in (0, 4)[: i + 1]:
            store.save(step, unit.run.setting.family.init(0))
        store.close()
    return workdir


@pytest.fixture
def workdir(kept, tmp_path):
    """A copy of that folder."""
    shutil.copytree(kept, tmp_path / "study")
    return epath.Path(tmp_path / "study")


@pytest.fixture(scope="module")
def measured(kept, tmp_path_factory):
    """A copy of the folder after the launcher has been through it."""
    folder = epath.Path(tmp_path_factory.mktemp("measured") / "study")
    shutil.copytree(kept, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(das, "_STEPS", 2)
        patch.setattr(fourier, "RELABELLINGS", 2)
        assert call(f"--workdir={folder}", FEW) == 0
    return folder


def test_every_snapshot_is_measured(measured):
    found = load(measured / "evidence.nc")
    assert found["r2"].dims == (
        *("stream", "per_token", "size", "initialisation"),
        *("snapshot", "task"),
    )
    assert found["null_effect"].dims == (*found["r2"].dims, "layer")
    assert found["snapshot"].values.tolist() == [0, 4] and found["task"].values.tolist() == NAMES
    assert set(FROM_SNAPSHOTS) < set(found.data_vars)
    there = found["r2"].notnull().any(("stream", "size", "initialisation", "task"))
    assert there.values.tolist() == [[True, False], [True, True]]
    assert np.isfinite(found["null_effect"].sel(snapshot=0)).all()
    assert np.isfinite(found["modes"].sel(snapshot=0, task="modular addition")).all()
    assert found["modes"].sel(task="comparison").isnull().all()  # a comparison has no sum
    assert found["r2"].attrs["units"] == "share"
    first, second = (found["null_effect"].sel(snapshot=0, initialisation=i) for i in range(2))
    assert not np.allclose(first, second)


def test_models_are_asked_about_the_tasks_of_their_own_stream(study, tmp_path, monkeypatch):
    """Which each stream draws anew."""
    grown, workdir = dataclasses.replace(study, streams=2), epath.Path(tmp_path)
    claim(grown, workdir)
    stream = {}
    for unit in units(grown):
        folder = workdir / "runs" / unit.name
        write_manifest(folder, Manifest(identity=unit.run.identity()))
        store = Store(folder / "retention", unit.run.identity())
        params = unit.run.setting.family.init(unit.run.seeds.weights)
        store.save(0, params)
        store.close()
        embedding = np.asarray(next(iter(params.values()))["embedding"][0])
        stream[embedding.tobytes()] = unit.run.stream
    asked, measure = {0: [], 1: []}, module.measure

    def note(kind, models, tasks, options):
        model = next(iter(models.values()))[0]
        asked[stream[np.asarray(model.embedding[...]).tobytes()]].append(
            tasks["modular addition"].tokens
        )
        return measure(kind, models, tasks, options)

    monkeypatch.setattr(module, "measure", note)
    assert call(f"--workdir={workdir}", "--kinds=neurons") == 0
    for draw, found in asked.items():
        own = study.run.setting.instances(draw)[0].tokens.reshape(5, 5, 3)
        assert len(found) == 2 and all(np.array_equal(tokens, own) for tokens in found)


def test_the_same_command_measures_nothing_again(measured, monkeypatch, capsys):
    before = load(measured / "evidence.nc")

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "measure", refuse)
    monkeypatch.setattr(module, "verify", refuse)
    assert call(f"--workdir={measured}", FEW) == 0
    assert load(measured / "evidence.nc").identical(before)
    printed = capsys.readouterr().out
    assert "modular addition:" in printed and "comparison:" in printed
    assert "launch.report" in printed


@pytest.fixture
def counted(monkeypatch):
    """Kinds that are measured, in their order."""
    kinds = []

    def count(kind, *rest):
        kinds.append(kind)
        return real(kind, *rest)

    real = module.measure
    monkeypatch.setattr(module, "measure", count)
    return kinds


def test_other_options_measure_what_reads_them(measured, tmp_path, counted):
    folder = epath.Path(shutil.copytree(measured, tmp_path / "study"))
    assert call(f"--workdir={folder}", FEW, "--components=1") == 0
    assert counted == ["probe"] * 3
    assert load(folder / "evidence.nc")["probe_components"].max() == 1
    assert call(f"--workdir={folder}", "--kinds=neurons") == 0
    assert counted == ["probe"] * 3
    assert set(load(folder / "evidence.nc").data_vars) == {
        "null_effect",
        "null_loss",
        "task_neuron",
    }


def test_what_was_interrupted_goes_on(workdir, monkeypatch, counted):
    def third(kind, *rest):
        if len(counted) == 2:
            raise KeyboardInterrupt
        return kept(kind, *rest)

    kept = module.measure
    monkeypatch.setattr(module, "measure", third)
    with pytest.raises(KeyboardInterrupt):
        call(f"--workdir={workdir}", "--kinds=probe")
    assert not (workdir / "evidence.nc").exists()
    monkeypatch.setattr(module, "measure", kept)
    assert call(f"--workdir={workdir}", "--kinds=probe") == 0
    assert counted == ["probe"] * 3


def test_other_weights_are_measured_again(workdir, study, counted):
    assert call(f"--workdir={workdir}", "--kinds=probe") == 0
    (unit, _) = units(study)
    store = Store(workdir / "runs" / unit.name / "retention", unit.run.identity())
    params = unit.run.setting.family.init(0)
    store.delete(0)
    store.save(
        0, {name: {**tree, "embedding": tree["embedding"] + 1} for name, tree in params.items()}
    )
    store.close()
    assert call(f"--workdir={workdir}", "--kinds=probe") == 0
    assert counted == ["probe"] * 4


def test_a_published_model_is_asked_about_the_tasks_of_a_config(study, tmp_path, monkeypatch):
    setting = study.run.setting
    (shape,) = setting.architectures.values()
    (params,) = setting.family.init(0).values()
    own = jax.tree.map(lambda leaf: np.asarray(leaf[0]), params)
    exchange.save(epath.Path(tmp_path / "model"), shape, own)
    monkeypatch.setattr(command_line, "load", lambda source: study)
    arguments = (f"--model={tmp_path}/model", "--config=x.py", f"--workdir={tmp_path}/out")
    assert call(*arguments, "--kinds=probe,neurons") == 0
    found = load(epath.Path(tmp_path / "out") / "evidence.nc")
    assert found["r2"].dims == ("size", "initialisation", "task")
    assert found["size"].values.tolist() == ["model"]
    assert found["parameters"].values.tolist() == [shape.parameters]
    assert found["task"].values.tolist() == NAMES
    monkeypatch.setattr(module, "measure", None)
    assert call(*arguments, "--kinds=probe,neurons") == 0


BAD = {
    "layer": (["--layer=3"], "--layer: expected 0 to 2, the layers of 2x16x32x2, got 3"),
    "negative layer": (["--layer=-1"], "--layer: expected at least 0, got -1"),
    "position": (["--position=2"], "--position: expected 0, for TOK1, or 1, for TOK2, got 2"),
    "subspace": (
        [FEW, "--dimensions=17"],
        "--dimensions: the residual stream of 2x16x32x2 has 16; expected 1 to 16, got 17",
    ),
    "pairs": (
        ["--pairs=63"],
        "--pairs: expected 1 to 62, half of the different interventions on 5 symbols, got 63",
    ),
    "kinds": (["--kinds=prob"], "--kinds=prob: expected some of probe,fourier,das,neurons,scores"),
    "no kind": (["--kinds="], "--kinds=: expected some of"),
    "config alone": (["--config=x.py"], "--model and --config go together"),
    "stray": (["more"], "unexpected argument 'more'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(case, kept):
    arguments, message = BAD[case]
    before = sorted(Path(kept).rglob("*"))
    with pytest.raises(UserError) as caught:
        call(f"--workdir={kept}", *arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(Path(kept).rglob("*")) == before


def test_a_study_without_snapshots_says_how_to_keep_some(workdir):
    for folder in workdir.glob("runs/*/retention"):
        folder.rmtree()
    with pytest.raises(UserError, match=r"no run has kept a snapshot .*run\.snapshots\.every="):
        call(f"--workdir={workdir}")


@pytest.mark.parametrize("place", ["manifest.json", "retention/0/meta/metadata"])
def test_snapshots_of_another_recipe_are_refused(workdir, study, place):
    unit = units(study)[0]
    path = workdir / "runs" / unit.name / place
    text = path.read_text()
    other = json.loads(text.replace(unit.run.identity(), "0123456789abcdef"))
    path.write_text(json.dumps(seal.sealed_json(other)))  # as another run's own
    assert path.read_text() != text
    with pytest.raises(UserError, match="belongs to recipe 0123456789abcdef, not"):
        call(f"--workdir={workdir}", "--kinds=probe")


def test_a_damaged_snapshot_is_one_line(workdir, study):
    unit = units(study)[0]
    snapshot = workdir / "runs" / unit.name / "retention" / "0"
    (snapshot / "meta" / "metadata").write_text("{")
    with pytest.raises(UserError, match="retention/0: cannot be restored") as caught:
        call(f"--workdir={workdir}", "--kinds=probe")
    assert "\n" not in str(caught.value)


def test_other_settings_have_no_language_models(tmp_path):
    claim(tiny.study(), epath.Path(tmp_path))
    with pytest.raises(UserError, match="a regression setting has no language models to look into"):
        call(f"--workdir={tmp_path}")


def test_a_published_model_does_not_take_the_place_of_a_study(kept, study, monkeypatch):
    monkeypatch.setattr(command_line, "load", lambda source: study)
    with pytest.raises(UserError, match="holds a study; choose another --workdir"):
        call("--model=x", "--config=x.py", f"--workdir={kept}")


def test_a_published_model_knows_the_tokens(study, tmp_path, monkeypatch):
    golden = "tests/models/golden/transformers"
    monkeypatch.setattr(command_line, "load", lambda source: study)
    with pytest.raises(
        UserError, match=r"words, but the tokens of the config's corpus are below 200"
    ):
        call(f"--model={golden}", "--config=x.py", f"--workdir={tmp_path}/new")
    assert not list(tmp_path.iterdir())
