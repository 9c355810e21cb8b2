from hypothesis import given
from hypothesis import strategies as st

from rare_retention.tasks.injected import instances
from rare_retention.tasks.modular_addition import ModularAddition


def walk(table, start):
    """start, start + start, ... up to the token that leaves every other as it is."""
    found = [start]
    while table[found[-1], found[-1]] != found[-1]:
        found.append(table[found[-1], start])
    return found


@given(st.integers(2, 12), st.integers(0, 1000))
def test_labels_are_sums_in_a_cycle(symbols, seed):
    """Multiples of some token are all tokens: they have the values 1, 2, ..., 0 of its cycle."""
    [found] = instances([ModularAddition(symbols=symbols)], 50, 0, seed)
    table = {(a, b): label for a, b, label in found.tokens.tolist()}
    cycle = max((walk(table, a) for a, _ in table), key=len)
    assert len(cycle) == len(set(cycle)) == symbols
    value = {token: i % symbols for i, token in enumerate(cycle, start=1)}
    for (a, b), label in table.items():
        assert value[label] == (value[a] + value[b]) % symbols
