"""What kinds of evidence read, and what they refuse."""

import numpy as np
import pytest
from planted_models import grid

from rare_retention.errors import ConfigError
from rare_retention.models.olmo_shape import OlmoShape
from rare_retention.representation.kinds import KINDS, Options, Subject, check, subject
from rare_retention.tasks import Comparison, ModularAddition
from rare_retention.tasks.injected import instances

SHAPES = {
    name: OlmoShape(layers=layers, hidden=8, mlp=12, heads=2, vocabulary=30)
    for name, layers in (("deep", 2), ("flat", 1))
}


def test_a_subject_is_a_table_of_pairs_of_values():
    tasks = (ModularAddition(symbols=5), Comparison(symbols=4))
    sums, order = map(subject, tasks, instances(tasks, 50, 49, seed=3))
    assert (sums.cyclic, order.cyclic) == (True, False)
    value = {token: v for v, token in enumerate(sums.tokens[:, 0, 0])}
    for a in range(5):
        for b in range(5):
            assert [value[t] for t in sums.tokens[a, b]] == [a, b, (a + b) % 5]
    labels = order.tokens[..., 2]
    assert (labels == np.where(np.triu(np.ones((4, 4)), 1), labels[0, 1], labels[1, 0])).all()


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_reads_some_of_the_options(name):
    changed = Options(layer=2, position=1, components=3, dimensions=2, pairs=7)
    read = KINDS[name].read(changed)
    assert set(read) == set(KINDS[name].options) and read.items() <= vars(changed).items()


def test_only_what_a_kind_reads_is_checked():
    few = [Subject(grid(4), cyclic=True)]
    check(Options(layer=9, dimensions=99), ["fourier", "neurons"], SHAPES, few)
    with pytest.raises(ConfigError, match="layer: expected 0 to 2, the layers of deep, got 9"):
        check(Options(layer=9), ["probe"], SHAPES, few)
    with pytest.raises(ConfigError, match="layer: expected 0 to 1, the layers of flat, got 2"):
        check(Options(layer=2), ["probe"], SHAPES, few)
    with pytest.raises(ConfigError, match="dimensions: the residual stream of deep has 8"):
        check(Options(dimensions=9), ["das"], SHAPES, few)
    with pytest.raises(ConfigError, match="pairs: expected 1 to 32"):
        check(Options(), ["das"], SHAPES, few)


@pytest.mark.parametrize("name", ["components", "dimensions", "pairs"])
def test_counts_are_at_least_1(name):
    with pytest.raises(ConfigError, match=f"{name}: expected at least 1, got 0"):
        Options(**{name: 0})
