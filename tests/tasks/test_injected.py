"""Instances of a mixture of tasks: what S is, how it is halved, and which labels may be given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.errors import ConfigError
from rare_retention.tasks import Comparison, ModularAddition, Recall
from rare_retention.tasks.injected import SEEDS, instances, reserved_ids

TASKS = (Comparison(symbols=7), ModularAddition(symbols=6), Recall(symbols=5))
VOCABULARY, END = 40, 13


def sets(tasks, found):
    """Tokens of each task that stand first in a pair, and all of its tokens."""
    firsts = [set(one.tokens[:, 0].tolist()) for one in found]
    return firsts, [set(one.tokens.ravel().tolist()) for one in found]


@given(
    st.lists(st.integers(2, 9), min_size=1, max_size=4),
    st.integers(0, 2**32),
    st.integers(0, 59),
)
def test_every_ordered_pair_of_S_is_an_instance(symbols, seed, end):
    tasks = [(Comparison, ModularAddition, Recall)[i % 3](symbols=n) for i, n in enumerate(symbols)]
    found = instances(tasks, 60, end, seed)
    firsts, every = sets(tasks, found)
    for task, one, values in zip(tasks, found, firsts, strict=True):
        count = task.symbols**2
        assert one.tokens.shape == (count, 3) and one.tokens.dtype == np.int32
        assert len(values) == task.symbols
        assert {(a, b) for a, b, _ in one.tokens.tolist()} == {
            (a, b) for a in values for b in values
        }
        labels = set(one.tokens[:, 2].tolist())
        if isinstance(task, Comparison):
            assert len(labels) == 1 / task.chance == 2 and not labels & values
        else:
            assert labels == values and task.chance == 1 / task.symbols
        assert sorted([*one.train, *one.test]) == list(range(count))
        assert len(one.train) == count // 2
    used = [token for own in every for token in own]
    assert len(used) == len(set(used))
    assert end not in used and 0 <= min(used) <= max(used) < 60


def test_reserved_tokens_are_behind_the_vocabulary():
    """None is the text's or another task's; one more task at the end leaves those before it."""
    found = instances(TASKS, VOCABULARY, END, 5, reserved=True)
    _, every = sets(TASKS, found)
    used = sorted(token for own in every for token in own)
    assert used == list(range(VOCABULARY, VOCABULARY + reserved_ids(TASKS)))
    fewer = instances(TASKS[:2], VOCABULARY, END, 5, reserved=True)
    for one, other in zip(fewer, found, strict=False):
        np.testing.assert_array_equal(one.tokens, other.tokens)
    again = instances(TASKS, VOCABULARY, END, 5, 1, reserved=True)
    assert any(a.tokens.tolist() != b.tokens.tolist() for a, b in zip(found, again, strict=True))
    halves = instances(TASKS, VOCABULARY, END, 5)
    assert [one.train.tolist() for one in halves] == [one.train.tolist() for one in found]


def test_halves_and_tokens_are_drawn():
    """Neither the vocabulary's nor the pairs' order is kept; no two tasks share theirs."""
    found = instances(TASKS, VOCABULARY, END, 0)
    firsts, _ = sets(TASKS, found)
    assert any(sorted(own) != list(range(min(own), min(own) + len(own))) for own in firsts)
    for one in found:
        assert np.any(np.diff(one.train) < 0) and np.any(np.diff(one.test) < 0)
        pairs = {tuple(pair) for pair in one.tokens[one.train, :2].tolist()}
        assert any((b, a) not in pairs for a, b in pairs)
    same = instances((Recall(symbols=6), Recall(symbols=6)), VOCABULARY, END, 0)
    assert same[0].train.tolist() != same[1].train.tolist()


@pytest.mark.parametrize("other", [(4, 0), (3, 1), (3, 2**16 - 1)])
def test_the_seed_and_the_draw_decide_it_all(other):
    drawn = ((3, 0), (3, 0), other)
    one, again, other = (instances(TASKS, VOCABULARY, END, *numbers) for numbers in drawn)
    for a, b, c in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(a.tokens, b.tokens)
        np.testing.assert_array_equal(a.train, b.train)
        assert np.any(a.tokens != c.tokens) and np.any(a.train != c.train)


def test_no_two_draws_of_any_seeds_halve_a_task_alike():
    """Tasks of equal size, so that equal seeds would show in equal halves."""
    tasks = (Recall(symbols=8),) * 3
    halves = [
        tuple(one.train.tolist())
        for seed in (0, 1, 2, SEEDS - 1)
        for draw in (1, 2, 3, 2**16 - 1)
        for one in instances(tasks, VOCABULARY, END, seed, draw)
    ]
    halves += [tuple(one.train.tolist()) for one in instances(tasks, VOCABULARY, END, 0)]
    assert len(set(halves)) == len(halves) == 4 * 4 * 3 + 3


def test_one_more_task_at_the_end_changes_nothing_before_it():
    fewer, more = (instances(TASKS[:count], VOCABULARY, END, 5) for count in (2, 3))
    for a, b in zip(fewer, more, strict=False):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_labels_may_be_given():
    """Then they are those two, and what S is drawn from does not shrink for them."""
    free = sorted(set(range(VOCABULARY)) - sets(TASKS, instances(TASKS, VOCABULARY, END, 0))[1][0])
    labels = tuple(token for token in free if token != END)[:2]
    [found] = instances((Comparison(symbols=7, labels=labels),), VOCABULARY, END, 0)
    [drawn] = instances((Comparison(symbols=7),), VOCABULARY, END, 0)
    np.testing.assert_array_equal(found.tokens[:, :2], drawn.tokens[:, :2])
    less = drawn.tokens[1, 2]  # values 0 and 1
    np.testing.assert_array_equal(found.tokens[:, 2], np.where(drawn.tokens[:, 2] == less, *labels))


def test_given_labels_are_no_symbols():
    """Whatever is drawn: S is then chosen among the other tokens."""
    labels = tuple(instances(TASKS, VOCABULARY, END, 0)[1].tokens[1, :2].tolist())
    tasks = (Comparison(symbols=7, labels=labels), *TASKS[1:])
    for draw in range(20):
        firsts, _ = sets(tasks, instances(tasks, VOCABULARY, END, 0, draw))
        assert not set(labels) & set.union(*firsts)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((END, 1), r"tasks\[0\].labels: token 13 ends documents, or is a label of another task"),
        ((40, 1), r"tasks\[0\].labels: token 40 is not below the vocabulary of 40"),
        ((-1, 1), r"tasks\[0\].labels: token -1 is not below the vocabulary of 40"),
        ((1, 1), r"tasks\[0\].labels: expected different tokens, got "),
    ],
)
def test_labels_that_cannot_be_given(labels, message):
    with pytest.raises(ConfigError, match=message) as caught:
        instances((Comparison(symbols=7, labels=labels), *TASKS[1:]), VOCABULARY, END, 0)
    assert "\n" not in str(caught.value)


def test_two_tasks_cannot_have_the_same_labels():
    tasks = (Comparison(symbols=7, labels=(1, 2)), Comparison(symbols=6, labels=(3, 2)))
    with pytest.raises(ConfigError, match=r"tasks\[1\].labels: token 2 ends documents, or is a la"):
        instances(tasks, VOCABULARY, END, 0)


def test_a_vocabulary_may_be_too_small():
    """One token for each symbol, two for labels, and one for the end of documents."""
    instances(TASKS, 21, END, 0)
    with pytest.raises(
        ConfigError, match="tasks: they need 20 tokens of their own, but the vocabulary has 19;"
    ):
        instances(TASKS, 20, END, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"per_token": -0.1}, "per_token: expected instances per token, from 0 to 0.25, got -0.1"),
        ({"per_token": 0.26}, "from 0 to 0.25, got 0.26"),
        ({"symbols": 1}, "symbols: expected at least 2, got 1"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Recall(**values)
