"""Replicates: what a stream draws anew, what a run may hold, and that stream 0 stays as it was."""

import dataclasses
import hashlib
import itertools

import jax
import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.errors import ConfigError
from rare_retention.experiment import Run, Seeds
from rare_retention.mesh import MeshShape
from rare_retention.parallel import make_mesh
from rare_retention.record import metrics
from rare_retention.settings.competition import Competition
from rare_retention.settings.parity import Parity
from rare_retention.settings.regression import Regression
from rare_retention.settings.student import DRAWS
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.train.loop import arguments, train
from rare_retention.train.plan import data_key

SETTINGS = [
    Regression(tasks=RegressionTasks(inputs=8, count=2, block=4), widths=(3,), initialisations=2),
    Competition(neurons=(2,), initialisations=2),
    Parity(tasks=3, bits=5, widths=(3,), initialisations=2),
    tiny_text.language(sizes=("1x8x16x2",), initialisations=2),
]
PARTS = ("batches", "weights", "tasks")
HELD = [held for n in range(4) for held in itertools.combinations(PARTS, n)]


@pytest.mark.parametrize("held", HELD, ids="-".join)
def test_what_is_held_has_the_draws_of_stream_0(held):
    run = Run(stream=7, held=held)
    assert run.seeds == Seeds(**{part: 0 if part in held else 7 for part in PARTS})
    first, own = Run(), Run(stream=7)
    same = first if "batches" in held else own
    np.testing.assert_array_equal(run.schedule().rows(3), same.schedule().rows(3))
    assert data_key(run.seeds.batches) == data_key(same.seeds.batches)
    assert Run(held=held).seeds == first.seeds == (0, 0, 0)


def test_tasks_that_are_not_drawn_are_common_to_all_streams():
    text = tiny_text.run()
    assert (Run().fixed, text.fixed) == (("tasks",), ())
    some = ("tasks", "batches")
    assert dataclasses.replace(text, held=some).fixed == ("batches", "tasks")


def test_what_is_held_is_part_of_the_recipe():
    found = {Run(stream=1, held=held).identity() for held in HELD}
    assert len(found) == len(HELD)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.kind)
def test_no_two_draws_share_initial_weights(setting):
    """Of two streams each model of each size differs from every other in all weights drawn."""
    init = jax.jit(setting.family.init)
    for name, stack in init(1).items():
        for own, first, last in zip(
            *map(jax.tree.leaves, (stack, init(0)[name], init(DRAWS - 1)[name])), strict=True
        ):
            models = np.concatenate([own, first, last]).reshape(3 * setting.initialisations, -1)
            assert len(np.unique(models, axis=0)) == len(models)


def test_a_run_asks_about_the_tasks_that_its_batches_show():
    """Instances of another stream are others, unless the run holds them."""
    mesh = make_mesh(MeshShape(data=1))
    shown = {}
    for stream, held in ((0, ()), (1, ()), (1, ("tasks",))):
        run = dataclasses.replace(tiny_text.run(stream=stream), held=held)
        numbers = arguments(run, mesh).numbers
        draw = run.seeds.tasks
        found = run.setting.batches(run.schedule(), draw, range(30), slice(None))
        seen = found["tokens"][found["task"][..., 0] == 1][:, :3]
        train = run.setting.instances(draw)[0]
        known = {tuple(row) for row in train.tokens[train.train].tolist()}
        assert {tuple(row) for row in seen.tolist()} <= known
        asked = np.asarray(numbers.train[0])
        assert {tuple(row) for row in asked.tolist()} <= known
        np.testing.assert_array_equal(asked, train.tokens[train.train[:20]])
        np.testing.assert_array_equal(numbers.test[0], train.tokens[train.test[:20]])
        shown[stream, held] = asked
    np.testing.assert_array_equal(shown[0, ()], shown[1, ("tasks",)])
    assert np.any(shown[0, ()] != shown[1, ()])


@pytest.mark.parametrize(("held", "expected"), [((), (3, 3)), (("weights", "tasks"), (0, 0))])
def test_training_takes_its_draws_from_the_seeds(held, expected, tmp_path, monkeypatch):
    """The tasks' for its batches, the weights' for its first state."""
    made, draws = Competition.batches, set()

    def batches(self, schedule, draw, steps, rows):
        draws.add((draw, schedule.seed))
        return made(self, schedule, draw, steps, rows)

    monkeypatch.setattr(Competition, "batches", batches)
    run = Run(setting=Competition(rare=0.25, neurons=(1,)), stream=3, held=held, batch=8, steps=2)
    train(run, epath.Path(tmp_path))
    assert draws == {(expected[1], 3)}
    angles = metrics.read(epath.Path(tmp_path))["angle"][0]
    drawn = jax.jit(run.setting.family.init)(expected[0]).values()
    for found, stack in zip(angles, drawn, strict=True):
        np.testing.assert_array_equal(found, stack["angle"][0])


def test_the_first_stream_is_what_it_always_was():
    """Task ids, tokens and halves, as earlier versions drew them: integers, so equal everywhere."""
    text, rows = tiny_text.run(), tiny.run()
    parts = [leaf for one in text.setting.instances(0) for leaf in one]
    for run in (text, rows):
        batches = run.setting.batches(run.schedule(), 0, range(5), slice(None))
        parts += jax.tree.leaves(batches)
    digest = hashlib.sha256(b"".join(np.asarray(p, np.int64).tobytes() for p in parts))
    assert digest.hexdigest()[:16] == "fe10212693c29928"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"held": ("weights", "weights")}, "held: expected different parts, got"),
        ({"held": ("data",)}, r"held\[0\]: expected 'batches' or 'weights' or 'tasks'"),
        ({"stream": DRAWS}, "stream: expected below 65536, got 65536"),
        ({"stream": -1}, "stream: expected at least 0, got -1"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Run(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.kind)
def test_there_are_no_more_initialisations_than_numbers_for_them(setting):
    """Or those of one stream would be those of the next."""
    with pytest.raises(ConfigError, match="initialisations: expected at most 65536"):
        dataclasses.replace(setting, initialisations=DRAWS + 1)
