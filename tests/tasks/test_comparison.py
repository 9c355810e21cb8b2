from hypothesis import given
from hypothesis import strategies as st

from rare_retention.tasks.comparison import Comparison
from rare_retention.tasks.injected import instances


@given(st.integers(2, 12), st.integers(0, 1000))
def test_labels_are_those_of_an_order(symbols, seed):
    """The tokens that beat n others have value n: a bijection which all labels agree with."""
    [found] = instances([Comparison(symbols=symbols)], 50, 0, seed)
    table = {(a, b): label for a, b, label in found.tokens.tolist()}
    tokens = {a for a, _ in table}
    not_less = {table[a, a] for a in tokens}
    assert len(not_less) == 1
    value = {b: sum(table[a, b] not in not_less for a in tokens) for b in tokens}
    assert sorted(value.values()) == list(range(symbols))
    for (a, b), label in table.items():
        assert (label not in not_less) == (value[a] < value[b])
