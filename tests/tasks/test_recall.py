from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.tasks.injected import instances
from rare_retention.tasks.recall import Recall


@given(st.integers(2, 12), st.integers(0, 1000))
def test_every_token_is_the_label_of_as_many_pairs(symbols, seed):
    [found] = instances([Recall(symbols=symbols)], 50, 0, seed)
    counts = Counter(found.tokens[:, 2].tolist())
    assert set(counts) == set(found.tokens[:, 0].tolist())
    assert set(counts.values()) == {symbols}


def test_neither_token_of_a_pair_tells_its_label():
    """Among 50 tokens, labels of a row or column of the table are as spread as drawn ones."""
    [found] = instances([Recall(symbols=50)], 60, 0, 0)
    for column in (0, 1):
        own = [found.tokens[found.tokens[:, column] == t, 2] for t in set(found.tokens[:, 0])]
        distinct = np.mean([len(set(labels.tolist())) for labels in own])
        assert abs(distinct - 50 * (1 - (1 - 1 / 50) ** 50)) < 2
    values = Recall(symbols=50)
    first, second = np.divmod(np.arange(2500), 50)
    assert np.mean(values.label(first, second, 0) == values.label(first, second, 1)) < 0.05
