"""Losses, accuracies and natural prompts of a model whose scores are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import collectives

from rare_retention.mesh import MeshShape
from rare_retention.parallel import make_mesh
from rare_retention.settings.levels import levels
from rare_retention.settings.scoring import answers, prompted, scores

WORDS, HIDDEN = 6, 3
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, WORDS, (3, 5)).astype(np.int32)
NUMBERS = np.array([1, 4, 5], np.int32)
RIGHT = np.array([[True, False, False], [True, True, False], [False, True, True]])


class Planted:
    """A model that looks at the current word alone.

    Attributes:
        rows: how many rows it was last asked about.
        readout: [V, D].
    """

    def __init__(self):
        self.table = jnp.asarray(RNG.standard_normal((WORDS, HIDDEN)), jnp.float32)
        self.readout = jnp.asarray(RNG.standard_normal((WORDS, HIDDEN)), jnp.float32)
        self.rows = 0

    def __call__(self, tokens):
        self.rows = len(tokens)
        return self.table[tokens]

    def log_probabilities(self):
        """Of the next word, in float64, [V, V]."""
        logits = np.asarray(self.table, np.float64) @ np.asarray(self.readout, np.float64).T
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))


@pytest.fixture(params=[False, True], ids=["alone", "on eight devices"])
def model(request):
    """Under no mesh, and under one over which three rows do not spread evenly."""
    if not request.param:
        yield Planted()
        return
    with jax.set_mesh(make_mesh(MeshShape(data=8))):
        planted = Planted()
        yield planted
        assert planted.rows == 8  # each device has as many rows as any other


@pytest.mark.parametrize("count", [1, 3])
def test_an_answer_is_right_where_all_of_it_is(model, count):
    """Its loss is that of all its tokens together; rows are made so that some are right."""
    words = model.log_probabilities()
    tokens = TOKENS.copy()
    for place in range(5 - count, 5):  # the first row's answer is what the model would write
        tokens[0, place] = words[tokens[0, place - 1]].argmax()
    before, targets = tokens[:, 4 - count : -1], tokens[:, 5 - count :]
    loss, right, known = jax.jit(lambda tokens: answers(model, tokens, count))(tokens)
    assert all(np.isnan(each) for each in known)
    assert float(loss) == pytest.approx(-words[before, targets].sum(1).mean(), rel=1e-5)
    expected = (words.argmax(1)[before] == targets).all(1)
    assert expected[0] and float(right) == pytest.approx(expected.mean())


def test_levels_are_those_of_the_labels_scores(model):
    """The mass is the labels' share of all words; the answer that of their logits alone."""
    labels = np.array([1, 4], np.int32)
    tokens = np.stack([np.arange(6), [1, 4, 4, 1, 4, 1]], 1).astype(np.int32)
    found = jax.jit(lambda tokens: answers(model, tokens, 1, labels).levels)(tokens)
    words = model.log_probabilities()[tokens[:, 0]]
    mass = np.log(np.exp(words[:, labels]).sum(1))
    assert float(found.format) == pytest.approx(mass.mean(), rel=1e-4)
    right = (tokens[:, 1:] == labels).argmax(1)
    expected = levels(jnp.asarray(words[:, labels], jnp.float32), right, jnp.asarray(mass))
    assert float(found.answer) == pytest.approx(float(expected.answer), abs=1e-3)
    assert float(found.auc) == pytest.approx(float(expected.auc), abs=1e-6)


@pytest.mark.parametrize("first", [1, 3])
def test_targets_are_scored_from_the_first_one_on(model, first):
    before, targets = TOKENS[:, first - 1 : -1], TOKENS[:, first:]
    words = model.log_probabilities()
    loss, accuracy = jax.jit(lambda tokens: scores(model, tokens, first))(TOKENS)
    assert float(loss) == pytest.approx(-words[before, targets].mean(), rel=1e-5)
    assert float(accuracy) == pytest.approx((words.argmax(1)[before] == targets).mean())


def test_any_right_number_answers_a_prompt(model):
    """Minus log of the sum of their probabilities after the last word of the prompt."""
    chances = np.exp(model.log_probabilities())[TOKENS[:, -1]]
    right = [chances[0, 1], chances[1, [1, 4]].sum(), chances[2, [4, 5]].sum()]
    found = jax.jit(lambda *asked: prompted(model, *asked))(TOKENS, NUMBERS, RIGHT)
    assert float(found) == pytest.approx(-np.log(right).mean(), rel=1e-5)


def test_what_is_known_of_the_answer_is_computed_on_each_device():
    """From scores that are gathered once, not in every turn of the loops that fit levels."""
    tokens = RNG.integers(0, WORDS, (35, 5)).astype(np.int32)
    with jax.set_mesh(make_mesh(MeshShape(data=8))):
        asked = jax.jit(lambda tokens: answers(Planted(), tokens, 1, NUMBERS))
        text = asked.lower(tokens).compile().as_text()
    found = collectives(text)
    assert any(one.kind == "all-gather" for one in found)
    assert [one for one in found if one.loops] == []
