"""A family under an objective: of all students at once, equal where programs may be shared."""

import jax
import numpy as np
from tiny import by_task

from rare_retention.settings.competition import Competition
from rare_retention.settings.regression import Regression
from rare_retention.settings.traced import traced_of
from rare_retention.tasks.regression import RegressionTasks

SETTING = Regression(
    tasks=RegressionTasks(inputs=6, count=3, block=2),
    widths=(2, 3),
    initialisations=2,
    watch=(2, 0),
)


def test_watched_losses_are_columns_of_all_losses():
    traced, numbers = traced_of(SETTING), SETTING.numbers(0)
    params, key = traced.family.init(0), jax.random.key(1)
    rows = np.array([0, 2, 1, 0, 0, 1, 2, 0], np.int32)
    every = by_task(traced)(params, rows, key, numbers)
    for name, found in traced.watched_losses(params, rows, key, numbers).items():
        np.testing.assert_allclose(found, every[name][:, np.array([2, 0])], rtol=1e-6)


def test_settings_that_differ_in_numbers_alone_have_equal_ones():
    """Frequencies reach the students as arguments."""
    first, second, third = (
        Competition(neurons=neurons, rare=rare)
        for neurons, rare in (((1,), 0.1), ((1,), 0.2), ((2,), 0.1))
    )
    assert traced_of(first) == traced_of(second) != traced_of(third)
    assert hash(traced_of(first)) == hash(traced_of(second))
