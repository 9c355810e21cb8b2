"""Bottleneck students on a mixture of regressions: what the setting is, without computing it."""

import numpy as np
import pytest

from rare_retention import config
from rare_retention.errors import ConfigError
from rare_retention.settings.regression import Regression
from rare_retention.tasks.regression import RegressionTasks

TASKS = RegressionTasks(inputs=14, count=3, block=4, prior_exponent=1.5)
SETTING = Regression(tasks=TASKS, widths=(2, 6), initialisations=3, watch=(-1, 0))


def test_what_it_says_of_itself():
    """Tasks, frequencies and constants; it survives JSON."""
    assert SETTING.task_names == ("regression 1", "regression 2", "regression 3")
    assert SETTING.watch_ids == (2, 0)
    assert SETTING.inputs == 14
    np.testing.assert_array_equal(SETTING.frequencies, TASKS.frequencies())
    constants = SETTING.constants()
    assert {name: measure.dims for name, (measure, _) in constants.items()} == {
        "frequency": ("task",),
        "spectrum": ("task", "direction"),
    }
    np.testing.assert_array_equal(constants["frequency"][1], TASKS.frequencies())
    np.testing.assert_array_equal(constants["spectrum"][1], TASKS.spectra())
    assert config.from_json(Regression, config.to_json(SETTING)) == SETTING


def test_a_sham_is_watched_and_never_the_rarest():
    tasks = RegressionTasks(inputs=8, count=3, block=2, prior=(0.75, 0.25, 0.0))
    setting = Regression(tasks=tasks, widths=(2,), watch=(1, 2))
    assert setting.objective.rarest == 1 and setting.watch_ids == (1, 2)
    assert setting.numbers(0).mass.tolist()[2] == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widths": ()}, "widths: expected at least one width"),
        ({"widths": (4, 0)}, r"widths\[1\]: expected a width from 1 to tasks.inputs = 14, got 0"),
        ({"widths": (15,)}, r"widths\[0\]: expected a width from 1 to tasks.inputs = 14, got 15"),
        ({"widths": (4, 4)}, "widths: expected different widths"),
        ({"initialisations": 0}, "initialisations: expected at least 1, got 0"),
        ({"watch": ()}, "watch: expected at least one task"),
        ({"watch": (0, 3)}, r"watch\[1\]: expected a task from -3 to 2, got 3"),
        ({"watch": (2, -1)}, "watch: expected different tasks"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    """One line each, which names the field."""
    with pytest.raises(ConfigError, match=message) as error:
        Regression(**({"tasks": TASKS, "widths": (2,)} | values))
    assert "\n" not in str(error.value)
