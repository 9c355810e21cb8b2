"""Gated neurons between two tasks: what the setting is, without computing it."""

import numpy as np
import pytest

from rare_retention import config
from rare_retention.errors import ConfigError
from rare_retention.settings.competition import Competition


def test_what_it_says_of_itself():
    """Tasks, frequencies and constants; it survives JSON."""
    setting = Competition(rare=0.2, start=(0.0, 1.5))
    assert setting.task_names == ("common", "rare")
    assert setting.watch_ids == (1,)
    assert setting.inputs == 2
    np.testing.assert_allclose(setting.frequencies, [0.8, 0.2])
    (name, (measure, values)), *others = setting.constants().items()
    assert (name, measure.dims, others) == ("frequency", ("task",), [])
    np.testing.assert_array_equal(values, setting.frequencies)
    assert config.from_json(Competition, config.to_json(setting)) == setting


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"neurons": ()}, "neurons: expected at least one number"),
        ({"neurons": (1, 0)}, r"neurons\[1\]: expected at least 1, got 0"),
        ({"neurons": (2, 2)}, "neurons: expected different numbers"),
        ({"initialisations": 0}, "initialisations: expected at least 1, got 0"),
        ({"sharpness": -1.0}, "sharpness: expected at least 0"),
        ({"start": (0.5, 0.2)}, "start: expected two ascending angles"),
        ({"start": (0.5, 1.6)}, "start: expected two ascending angles"),
        ({"rare": 0.0}, "rare: expected a share"),
        ({"rare": 0.6}, "rare: expected a share"),
        ({"watch": (2,)}, r"watch\[0\]: expected a task from -2 to 1"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    """One line each, which names the field."""
    with pytest.raises(ConfigError, match=message) as error:
        Competition(**values)
    assert "\n" not in str(error.value)
