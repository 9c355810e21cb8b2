"""Which numbers of a measured state are logged, and under which names."""

import numpy as np
import pytest

from rare_retention.record.manifest import Manifest
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.student import Student
from rare_retention.watch.scalars import MOST, scalars, students_named, tasks_drawn


def about(tasks=("text", "addition"), watch=(1,), dims=("task",), labels=None):
    return Manifest(
        students=(Student("a", "4M", 8, 32), Student("b", "8M", 16, 64)),
        tasks=tasks,
        watch=watch,
        labels=labels or {},
        quantities={"accuracy": Quantity(dims, "share", "")},
    )


def test_a_number_for_each_task_and_size_by_their_names():
    found = scalars(about(), {"accuracy": np.array([[0.1, 0.2], [0.3, 0.4]])})
    assert found == {
        "accuracy/text/4M": 0.1,
        "accuracy/addition/4M": 0.2,
        "accuracy/text/8M": 0.3,
        "accuracy/addition/8M": 0.4,
    }


def test_a_number_for_each_size():
    found = scalars(about(dims=()), {"accuracy": np.array([0.1, 0.3])})
    assert found == {"accuracy/4M": 0.1, "accuracy/8M": 0.3}


def test_watched_tasks_have_their_names():
    found = scalars(about(dims=("watch",)), {"accuracy": np.array([[0.1], [0.3]])})
    assert found == {"accuracy/addition/4M": 0.1, "accuracy/addition/8M": 0.3}


def test_other_places_count_where_they_have_names():
    own = about(dims=("prompt",), labels={"prompt": ("two", "three")})
    found = scalars(own, {"accuracy": np.array([[0.1, 0.2], [0.3, 0.4]])})
    assert found["accuracy/three/8M"] == 0.4 and len(found) == 4
    assert not scalars(about(dims=("block",)), {"accuracy": np.zeros((2, 2))})
    assert not scalars(about(dims=("block", "vector")), {"accuracy": np.zeros((2, 2, 3))})


def test_what_a_batch_did_not_hold_is_left_out_and_a_lost_loss_is_not():
    values = {"accuracy": np.array([[0.1, np.nan], [0.3, np.nan]])}
    assert set(scalars(about(), values)) == {"accuracy/text/4M", "accuracy/text/8M"}
    found = scalars(about(dims=()), {"accuracy": np.array([np.nan, 0.5])})
    assert np.isnan(found["accuracy/4M"])


def test_what_nobody_has_described_is_left_out():
    assert not scalars(about(), {"unknown": np.zeros(2)})


def test_initialisations_are_told_apart():
    students = [Student("a", 8, 8, 32, i) for i in (0, 1)]
    assert students_named(students) == ["8", "8 #1"]


@pytest.mark.parametrize("tasks", [1, MOST])
def test_few_tasks_are_drawn_all(tasks):
    assert tasks_drawn(tasks, ()) == list(range(tasks))


def test_of_many_tasks_the_ends_and_the_watched():
    assert tasks_drawn(100, (50, 99)) == [0, 1, 2, 3, 50, 96, 97, 98, 99]
    names = tuple(f"task {k}" for k in range(100))
    found = scalars(about(tasks=names, watch=(50,)), {"accuracy": np.ones((2, 100)).cumsum(1)})
    assert found["accuracy/task 50/4M"] == 51 and len(found) == 2 * 9
