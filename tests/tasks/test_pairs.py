"""Tasks of TOK1 TOK2 LABEL: their shape, their tokens and draws."""

import hashlib

import numpy as np
import pytest

from rare_retention.errors import ConfigError
from rare_retention.tasks import Comparison, ModularAddition, Recall
from rare_retention.tasks.injected import instances

TASKS = (Comparison(symbols=7), ModularAddition(symbols=6), Recall(symbols=5))


def test_a_pair_asks_for_one_label():
    assert all((task.length, task.answer) == (3, 1) for task in TASKS)
    assert [task.drawn for task in TASKS] == [9, 6, 5]
    assert Comparison(symbols=7, labels=(1, 2)).drawn == 7


def test_pairs_are_ordered_by_their_values():
    """Instance a S + b is that of the values a and b."""
    own = np.arange(100, 109)
    tokens = TASKS[0].encode(own, 0)
    assert tokens.dtype == np.int32 and tokens.shape == (49, 3)
    assert tokens[7 * 2 + 5].tolist() == [102, 105, 107]
    assert tokens[7 * 5 + 2].tolist() == [105, 102, 108]


def test_few_symbols_are_refused():
    with pytest.raises(ConfigError, match="symbols: expected at least 2, got 1"):
        Recall(symbols=1)


def test_instances_are_those_of_former_versions():
    """Digest of all tokens and halves of three tasks, as drawn before answers had a length."""
    digest = hashlib.sha256()
    for seed, draw in ((0, 0), (3, 0), (3, 5)):
        for one in instances(TASKS, 40, 13, seed, draw):
            for array in one:
                digest.update(np.ascontiguousarray(array).tobytes())
    assert digest.hexdigest()[:16] == "a867024d4df7d05b"
