"""Addition in digits, read back as a person would read it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rare_retention.errors import ConfigError
from rare_retention.tasks.digit_addition import DigitAddition
from rare_retention.tasks.injected import instances


def number(tokens, values, base):
    """What tokens say, the most significant first."""
    return int(sum(values[t] * base**i for i, t in enumerate(reversed(tokens.tolist()))))


@given(st.integers(1, 2), st.integers(2, 6), st.integers(0, 1000))
def test_every_pair_of_numbers_stands_before_its_sum(digits, base, seed):
    task = DigitAddition(digits=digits, base=base)
    [found] = instances([task], 50, 0, seed)
    zero = found.tokens[0, 0]  # 0 + 0 = 0
    assert set(found.tokens[0].tolist()) == {zero}
    values = {found.tokens[base ** (2 * digits - 1) * d, 0]: d for d in range(base)}
    assert len(values) == base
    seen = set()
    for tokens in found.tokens:
        parts = np.split(tokens, [digits, 2 * digits])
        first, second, total = (number(part, values, base) for part in parts)
        assert first + second == total
        seen.add((first, second))
    assert len(seen) == len(found.tokens) == base ** (2 * digits)
    assert found.tokens.shape[1] == task.length == 2 * digits + task.answer
    assert sorted([*found.train, *found.test]) == list(range(len(found.tokens)))


def test_chance_is_that_of_the_commonest_sum():
    task = DigitAddition(digits=2, base=4)
    [found] = instances([task], 50, 0, 0)
    _, counts = np.unique(found.tokens[:, -3:], axis=0, return_counts=True)
    assert task.chance == counts.max() / len(found.tokens) == 1 / 16


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="digits: 4 digits of base 10 make 100,000,000 instances"):
        DigitAddition(digits=4)
    with pytest.raises(ConfigError, match="per_token: expected instances per token, from 0"):
        DigitAddition(digits=2, per_token=0.126)
    assert DigitAddition(digits=2, per_token=0.125).per_token == 1 / 8
