"""Calls on threads: at most so many at once, and none that keeps the program."""

import contextlib
import threading
import time

import pytest

from rare_retention.text import workers
from rare_retention.text.workers import each


def test_answers_and_errors_come_with_their_items():
    def half(x):
        if x % 2:
            raise ValueError(x)
        return x // 2

    answers = dict(each(half, range(6), 3, threading.Event()))
    assert {x: a for x, a in answers.items() if x % 2 == 0} == {0: 0, 2: 1, 4: 2}
    assert [str(answers[x]) for x in (1, 3, 5)] == ["1", "3", "5"]
    assert list(each(half, [], 3, threading.Event())) == []


def test_so_many_calls_are_under_way_and_no_more():
    now, most, lock = 0, 0, threading.Lock()

    def call(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    assert len(list(each(call, range(20), 4, threading.Event()))) == 20
    assert most == 4


@pytest.mark.parametrize("heeds", [True, False])
def test_who_leaves_early_waits_for_calls_that_end_and_not_for_others(heeds, monkeypatch):
    monkeypatch.setattr(workers, "LEAVE", 0.2)
    stop, end, begun, ended = threading.Event(), threading.Event(), [], []

    def call(x):
        begun.append(x)
        if x:
            (stop if heeds else end).wait(10)
        ended.append(x)

    started = time.monotonic()
    with contextlib.closing(each(call, range(10), 2, stop)) as answers:
        next(answers)
    assert time.monotonic() - started < 5 and stop.is_set()
    assert sorted(begun) in ([0, 1], [0, 1, 2])
    assert (set(ended) == set(begun)) == heeds
    end.set()
