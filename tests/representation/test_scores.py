"""Scores of single instances, against the same in float64 and against levels."""

import jax.numpy as jnp
import numpy as np
from planted_models import drawn, grid, own_answers

from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.representation import scores as module
from rare_retention.representation.ask import measure
from rare_retention.representation.kinds import Options, Subject, subject
from rare_retention.representation.residuals import assemble
from rare_retention.representation.scores import label_scores
from rare_retention.settings.scoring import answers
from rare_retention.tasks import Comparison
from rare_retention.tasks.injected import instances

SHAPE = OlmoShape(layers=2, hidden=8, mlp=12, heads=2, vocabulary=30)
MODEL = assemble(SHAPE, drawn(SHAPE))


def test_scores_are_log_probabilities_among_all_words(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 7)  # several rounds, the last one short
    tokens = own_answers(MODEL, grid(4)).reshape(-1, 3)
    tokens[0, 2] = 29
    found = label_scores(MODEL, tokens)
    hidden = np.asarray(MODEL(jnp.asarray(tokens[:, :2])), np.float64)[:, -1]
    words = hidden @ np.asarray(MODEL.readout, np.float64).T
    logs = words - np.log(np.exp(words).sum(1, keepdims=True))
    labels = sorted(set(tokens[:, 2].tolist()))
    np.testing.assert_allclose(found, logs[:, labels], rtol=1e-4)


def test_means_over_a_half_are_what_a_run_records():
    task = Comparison(symbols=4)
    (drawn_,) = instances((task,), 30, 29, seed=3)
    asked = subject(task, drawn_)
    found = measure("scores", {"one": [MODEL]}, {"order": asked}, Options())
    found = found.isel(size=0, initialisation=0, task=0)
    right = found["label_score"].isel(label=found["right_label"].astype(int))
    for half, own in ((1, drawn_.train), (0, drawn_.test)):
        expected = answers(MODEL, drawn_.tokens[own], 1, np.unique(drawn_.tokens[:, -1]))
        mine = found["trained_on"] == half
        assert mine.sum() == len(own)
        np.testing.assert_allclose(-right[mine].mean(), expected.loss, rtol=1e-5)
        mass = np.logaddexp.reduce(found["label_score"][mine].to_numpy(), 1).mean()
        np.testing.assert_allclose(mass, expected.levels.format, rtol=1e-4)


def test_smaller_tasks_leave_places_empty():
    first = own_answers(MODEL, grid(4))
    second = np.concatenate([grid(3), np.full((3, 3, 1), 7, np.int32)], -1)
    subjects = {"a": Subject(first, False), "b": Subject(second, False, np.eye(3) > 0)}
    found = measure("scores", {"one": [MODEL]}, subjects, Options()).isel(size=0, initialisation=0)
    assert found.sizes["pair"] == 16 and found.sizes["label"] == len(np.unique(first[..., 2]))
    small = found.sel(task="b")
    assert small["label_score"].notnull().sum() == 9
    assert small["trained_on"][:9].to_numpy().reshape(3, 3).tolist() == np.eye(3).tolist()
    assert found["trained_on"].sel(task="a").isnull().all()
