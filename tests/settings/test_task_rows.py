"""Settings whose rows are tasks, by way of the smallest of them."""

import numpy as np
from scheduled import scheduled

from rare_retention.settings.competition import Competition
from rare_retention.settings.setting import labels

SETTING = Competition(neurons=(2, 1), initialisations=2, rare=0.25, watch=(-1, 0))


def test_a_row_is_one_observation_of_one_task():
    assert (SETTING.row_tokens, SETTING.slots) == (1, 1)


def test_watched_tasks_may_be_counted_from_the_rarest():
    assert SETTING.watch_ids == (1, 0)
    assert labels(SETTING)["block"] == ("angle", "all")
    assert labels(SETTING)["vector"][:3] == ("batch rare", "batch common", "batch others")


def test_batches_are_the_rows_of_the_schedule():
    schedule = scheduled(SETTING.frequencies, 8, placement="even", seed=3)
    found = SETTING.batches(schedule, 0, range(5, 8), slice(2, 6))
    assert found.shape == (3, 4) and found.dtype == np.int32
    for step, rows in zip(range(5, 8), found, strict=True):
        np.testing.assert_array_equal(rows, schedule.rows(step)[2:6])
