import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheduled import scheduled

from rare_retention.schedule.injection import injections


@st.composite
def batches(draw):
    """A schedule of the text and two tasks over some slots, the rows of a batch, a step."""
    rows, slots = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rare = draw(st.sampled_from([0.5, 0.1, 0.01]))
    schedule = scheduled(
        [1 - 1.3 * rare, rare, 0.3 * rare], rows * slots, seed=draw(st.integers(0, 9))
    )
    return schedule, rows, draw(st.integers(0, 10**6))


@given(batches())
def test_instances_of_a_batch_fill_its_rows_evenly_from_the_left(batch):
    schedule, rows, step = batch
    placed = injections(schedule, step, rows)
    counts = np.bincount(placed.task, minlength=3)
    counts[0] = schedule.slots - len(placed.task)
    np.testing.assert_array_equal(counts, schedule.counts(step))
    in_row = np.bincount(placed.row, minlength=rows)
    assert len(in_row) == rows and in_row.max() - in_row.min() <= 1
    for row, count in enumerate(in_row):
        assert sorted(placed.slot[placed.row == row]) == list(range(count))
    assert {len(part) for part in placed} == {len(placed.task)}
    for part, again in zip(placed, injections(schedule, step, rows), strict=True):
        np.testing.assert_array_equal(part, again)


def test_no_row_and_no_instance_is_preferred():
    """Over many batches of one instance, all rows and all words in equal shares."""
    schedule = scheduled([7 / 8, 1 / 8], 8, placement="even", seed=1)
    found = [injections(schedule, step, 8) for step in range(2000)]
    rows = np.concatenate([placed.row for placed in found])
    halves = np.concatenate([placed.word for placed in found]) % np.uint64(10)
    for values, kinds in ((rows, 8), (halves, 10)):
        counts = np.bincount(values.astype(int), minlength=kinds)
        expected = len(values) / kinds
        assert ((counts - expected) ** 2 / expected).sum() < 30  # 0.1% point of 9 degrees: 27.9


def test_tasks_share_the_rows_of_a_batch():
    """Which task an instance is of says nothing about its row or slot."""
    schedule = scheduled([0.2, 0.4, 0.4], 24, placement="even", seed=2)
    found = [injections(schedule, step, 8) for step in range(500)]
    for where in (0, 1):
        share = np.mean(np.concatenate([p.task[p.slot == where] == 1 for p in found]))
        assert share == pytest.approx(0.5, abs=0.05)


def test_instances_of_a_task_that_is_left_out_leave_the_others_where_they_are():
    """Rows, slots and words are those of the whole schedule."""
    frequencies = [0.5, 0.3, 0.2]
    whole = scheduled(frequencies, 24, placement="even", seed=2)
    own = scheduled(frequencies, 24, placement="even", seed=2, left_out=(1,))
    for step in range(5):
        before, after = (injections(schedule, step, 12) for schedule in (whole, own))
        kept = before.task == 2
        assert kept.any() and not kept.all()
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a[kept], b)
