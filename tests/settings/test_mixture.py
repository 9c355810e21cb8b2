"""Which tasks are watched, and which of them is the rarest."""

from types import SimpleNamespace

import numpy as np
import pytest

from rare_retention.config import ConfigError
from rare_retention.settings.mixture import rarest_watched, watched


def test_ids_count_from_either_end():
    assert watched((-1, 0, 2), 4) == (3, 0, 2)


@pytest.mark.parametrize(
    ("watch", "message"),
    [
        ((), "watch: expected at least one task, got none"),
        ((0, 4), "watch[1]: expected a task from -4 to 3, got 4"),
        ((3, -1), "watch: expected different tasks, got (3, -1)"),
    ],
)
def test_wrong_ids_are_refused(watch, message):
    with pytest.raises(ConfigError) as caught:
        watched(watch, 4)
    assert str(caught.value) == message


def test_the_rarest_is_by_frequency_and_of_equals_the_last():
    mixture = SimpleNamespace(watch_ids=(0, 2, 1), frequencies=np.array([0.5, 0.25, 0.25]))
    assert rarest_watched(mixture) == 2
    mixture.frequencies = np.array([0.2, 0.4, 0.4])
    assert rarest_watched(mixture) == 0


def test_a_task_that_is_never_shown_is_the_rarest_only_where_no_other_is_watched():
    mixture = SimpleNamespace(watch_ids=(0, 2, 1), frequencies=np.array([0.6, 0.4, 0.0]))
    assert rarest_watched(mixture) == 1
    mixture.watch_ids = (2,)
    assert rarest_watched(mixture) == 2
