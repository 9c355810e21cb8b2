"""Whole numbers: Python's and NumPy's pass, all else is named."""

import numpy as np
import pytest

from rare_retention.errors import ConfigError
from rare_retention.schedule.whole import task_id, whole


def test_numbers_of_numpy_become_python_s():
    """Which do not overflow."""
    assert whole("step", np.int64(2**62)) * 4 == 2**64
    assert type(whole("step", np.int8(3))) is int


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (1.0, {}, "step: 1.0; expected a whole number"),
        ("3", {}, "step: '3'; expected a whole number"),
        (-1, {}, "step: -1; expected 0 or more"),
        (9, {"most": 8}, "step: 9; expected 0 to 8"),
    ],
)
def test_what_is_none_or_out_of_range_is_refused(value, bounds, message):
    with pytest.raises(ConfigError) as caught:
        whole("step", value, **bounds)
    assert str(caught.value) == message


def test_tasks_count_from_either_end():
    assert [task_id("task", k, 3) for k in (0, 2, -1, -3)] == [0, 2, 2, 0]
    with pytest.raises(ConfigError, match="task: 3; expected -3 to 2"):
        task_id("task", 3, 3)
