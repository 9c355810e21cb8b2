"""Whole runs of language models: what they record, how they go on, and what stops them."""

import shutil

import jax
import numpy as np
import pytest
import tiny_text
from etils import epath
from tiny import blueprint

from rare_retention.errors import ConfigError, UserError
from rare_retention.record import metrics
from rare_retention.record.checkpoints import Store, verify
from rare_retention.record.exposures import read_exposures
from rare_retention.record.manifest import read_manifest
from rare_retention.record.recorder import Recorder
from rare_retention.record.records import RESUME, steps_in
from rare_retention.settings.levels import Levels
from rare_retention.settings.traced import traced_of
from rare_retention.tasks import Comparison
from rare_retention.text import appearance
from rare_retention.train.loop import train
from rare_retention.train.plan import common, make_plan
from rare_retention.train.state import create


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of two sizes and two tasks, and its folder."""
    folder = epath.Path(tmp_path_factory.mktemp("whole"))
    assert train(tiny_text.run(), folder) == 8
    return folder


def test_everything_is_measured(whole):
    setting = tiny_text.language()
    values, about = metrics.read(whole), read_manifest(whole)
    assert values["step"].tolist() == [0, 2, 4, 6, 8]
    sizes = {"task": 3, "watch": 1}
    asked = [*setting.objective.quantities, "train_loss", "batch_loss", "reference"]
    asked.append("gradient_norm")
    assert values.keys() == {"step", *asked}
    for name in asked:
        quantity = about.quantities[name]
        assert values[name].shape == (5, 2, *(sizes[d] for d in quantity.dims)), name
        rows = values[name] if name in setting.objective.quantities else values[name][1:]
        if name.removeprefix("test_") in Levels._fields:  # the text has none
            assert np.isnan(rows[..., 0]).all() and np.isfinite(rows[..., 1]).all(), name
            continue
        assert np.isfinite(rows).all(), name
    assert about.shown == tuple(tiny_text.run().schedule().shown(8).tolist())
    assert about.planned == pytest.approx([96, 24, 8])
    assert [student.size for student in about.students] == ["1x8x16x2", "2x16x32x2"]
    assert about.tasks == ("text", "comparison", "modular addition")
    assert (about.step_rows, about.step_tokens) == (8, 128)


def test_a_sham_is_measured_and_changes_nothing(whole, tmp_path):
    tasks = (*tiny_text.language().tasks, Comparison(per_token=0, symbols=9))
    folder = epath.Path(tmp_path)
    train(tiny_text.run(tiny_text.language(tasks=tasks, watch=(2, 3))), folder)
    first, second = metrics.read(whole), metrics.read(folder)
    for name in ("loss", "accuracy", "answer", "format", "test_loss"):
        np.testing.assert_allclose(second[name][..., :3], first[name], rtol=1e-5, err_msg=name)
        assert np.isfinite(second[name][..., 3]).all()
    assert np.isnan(second["batch_loss"][1:, :, 3]).all()
    assert np.isfinite(second["reference"][..., 1]).all()
    about = read_manifest(folder)
    assert about.shown == (*read_manifest(whole).shown, 0)
    exposures = read_exposures(folder)
    assert not len(exposures["comparison 2"].steps) and len(exposures["modular addition"].steps)


def test_models_learn_the_tokens_that_are_injected(whole):
    """Their labels, at first, to be labels at all."""
    loss = metrics.read(whole)["loss"]
    assert np.all(loss[-1, :, 1] < loss[0, :, 1] - 0.2)


def test_a_killed_run_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    record = Recorder.record

    def kill(self, step, state, measured, *, save):
        if step > 4:
            self._resume.wait()
            raise Killed
        record(self, step, state, measured, save=save)

    monkeypatch.setattr(Recorder, "record", kill)
    folder = epath.Path(tmp_path)
    with pytest.raises(Killed):
        train(tiny_text.run(), folder)
    monkeypatch.undo()
    assert train(tiny_text.run(), folder) == 8
    for name, values in metrics.read(whole).items():
        np.testing.assert_array_equal(values, metrics.read(folder)[name], err_msg=name)
    one, other = (jax.tree.leaves(verify(place / RESUME, 8)) for place in (whole, folder))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_corpus_may_move(whole, tmp_path):
    """What the text is counts, not where it stood."""
    folder, text = tmp_path / "run", tmp_path / "text"
    shutil.copytree(whole, folder)
    text.mkdir()
    tiny_text.write_tokens(text)
    config = folder / "config.json"
    config.write_text(config.read_text().replace(tiny_text.corpus().path, f"{tmp_path}/gone"))
    assert train(tiny_text.run(tiny_text.language(text)), epath.Path(folder)) == 8


def of_folders(place, steps):
    """A run on two devices whose text stands in the folders below `place`."""
    setting = tiny_text.language(corpus=tiny_text.corpus(f"{place}/*/*.npy"), sizes=("1x8x16x1",))
    return tiny_text.run(setting, steps=steps, measure__every=4, mesh__data=2)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """Folder of a run that has reached half of its steps, in run/, and of its text, in text/."""
    place = tmp_path_factory.mktemp("half")
    for seed, name in enumerate(("a", "b")):
        (place / "text" / name).mkdir(parents=True)
        tiny_text.write_tokens(place / "text" / name, sizes=(1040,), seed=seed)
    assert train(of_folders(place / "text", 4), epath.Path(place / "run")) == 4
    return place


def permuted(place):
    path = place / "a" / "0.npy"
    windows = np.fromfile(path, "<u2").reshape(-1, tiny_text.WINDOW)
    windows[::-1].tofile(path)


def other_text(place):
    tiny_text.write_tokens(place / "b", sizes=(1040,), seed=7)


def renamed(place):
    (place / "a").rename(place / "c")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (permuted, "other bytes in a/0.npy"),
        (other_text, "other bytes in b/0.npy"),
        (renamed, "the same files in another order: b/0.npy now stands where a/0.npy stood"),
    ],
)
def test_a_run_does_not_go_on_with_another_text(change, reason, half, tmp_path):
    """In files of the same size; what was recorded stays as it is."""
    place = tmp_path / "half"
    shutil.copytree(half, place)
    change(place / "text")
    files = [path for path in place.glob("run/**/*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(UserError) as caught:
        train(of_folders(place / "text", 8), epath.Path(place / "run"))
    line = str(caught.value)
    assert line.startswith(f"{place}/run: holds another run: setting.corpus.identity: '")
    assert f"(the text has changed: {reason}" in line and "\n" not in line
    assert line.endswith("; choose another --workdir, or undo the change")
    assert before == {path: path.read_bytes() for path in place.glob("run/**/*") if path.is_file()}


def test_ids_beyond_the_vocabulary_stop_a_run_that_keeps_what_it_has(tmp_path, monkeypatch):
    """Where no sample of the file had them. The line names it; what was saved before stays."""
    monkeypatch.setattr(appearance, "check", lambda *_: None)
    tokens = np.random.default_rng(0).integers(0, 200, 5000).astype("<u2")
    tokens[1510] = 777  # in window 94, which no evaluation reads
    tokens.tofile(tmp_path / "0.npy")
    corpus = tiny_text.corpus(tmp_path, order="sequential")
    run = tiny_text.run(tiny_text.language(corpus=corpus, sizes=("1x8x16x1",)), steps=16)
    folder = epath.Path(tmp_path / "run")
    run.setting.windows.unigram_entropy = lambda: 0.0
    with pytest.raises(UserError, match=r"0.npy: holds token id 777, but the vocabulary") as caught:
        train(run, folder)
    assert "\n" not in str(caught.value)
    assert steps_in(folder / RESUME) == [4, 8]
    assert metrics.read(folder)["step"].tolist() == [0, 2, 4, 6, 8]


def test_a_checkpoint_of_other_models_is_refused(tmp_path):
    folder, run = epath.Path(tmp_path), tiny_text.run()
    other = tiny_text.language(sizes=("1x8x16x2", "2x16x40x2"))
    store = Store(folder / RESUME, run.identity())
    store.save(4, jax.jit(lambda: create(blueprint(traced_of(other), run.optimizer), 0))())
    store.close()
    with pytest.raises(UserError, match=r"resume/4: .*; no checkpoint is whole: delete") as caught:
        train(run, folder)
    assert "\n" not in str(caught.value)
    assert steps_in(folder / RESUME) == [4]


WIDE = tiny_text.language(sizes=("1x12x24x3",))


@pytest.mark.parametrize(
    ("setting", "changes", "message"),
    [
        (WIDE, {"mesh__model": 2}, "mesh.model: weights have a dimension of 3, wh"
         "ich cannot be spread evenly over 2 devices; expected a divisor of 1, nearest: 1"),
        (WIDE, {"mesh__fsdp": 8}, "mesh.fsdp: weights have a dimension of 12, .* "
         "over 8 devices; expected a divisor of 12, nearest: 6"),
        (WIDE, {"batch": 12, "mesh__data": 8}, "batch: 12 rows cannot be spread evenly over 8 devic"
         "es; nearest: 8"),
        (None, {"setting__tasks[1].per_token": 1e-4}, r"setting.tasks\[1\].per_token: 0.0001 is 0."
         "102 expected slots in 8 steps of 16 slots; expected one or more: a frequency of 0.00097"
         "65625, or 79 steps"),
        (None, {"exposure__placement": "burst", "exposure__gap": 16}, "exposure.gap: 16 steps, but "
         "a run of 8 ends before the first burst"),
        (None, {"steps": 32, "exposure__placement": "burst", "exposure__gap": 20},
         "exposure.gap: 20 steps make a burst of up to 20 slots, too many in a batch of 16; "
         "expected at most 1., or more than 2 as setting.per_sequence"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_writes_nothing(tmp_path, setting, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        train(tiny_text.run(setting, **changes), epath.Path(tmp_path))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_task_that_happens_not_to_be_drawn_has_no_exposures_to_plan_for():
    """One expected in all: some streams have none."""
    rare = {"setting__tasks[1].per_token": 1 / (8 * tiny_text.TOKENS), "exposure__placement": "iid"}
    none = []
    for stream in range(10):
        run = tiny_text.run(stream=stream, measure__cycles=2, measure__every=100, **rare)
        schedule = run.schedule()
        stops = make_plan(run, schedule).stops
        none.append(not schedule.shown(8)[2])
        shared = common(schedule.rate(2), 8, 2, 2)
        assert not none[-1] or set(stops) == {4, 8} | shared  # 4 and 8 are the checkpoints
    assert any(none) and not all(none)


def test_the_frequency_that_a_message_names_can_be_had(tmp_path):
    """In the unit of the field: instances per token."""
    run = tiny_text.run(**{"setting__tasks[1].per_token": 0.0009765625})
    run.schedule().check(8)
    rarer = tiny_text.run(**{"setting__tasks[1].per_token": 0.00097})
    with pytest.raises(ConfigError, match=r"a frequency of 0.0009765625, or 9 steps"):
        rarer.schedule().check(8)
