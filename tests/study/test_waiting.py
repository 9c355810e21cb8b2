"""How a worker waits: what it says, how long, and that it leaves when asked to."""

import time

import pytest

from rare_retention.study import waiting
from rare_retention.study.waiting import Patience, shown
from rare_retention.train.interruption import Interruption


@pytest.fixture
def slept(monkeypatch):
    """Seconds of each sleep; the clock goes on by them."""
    found, now = [], [0.0]

    def sleep(seconds):
        found.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(waiting.time, "sleep", sleep)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    return found


def test_it_looks_more_and_more_rarely_and_says_once_for_whom(slept):
    said, asked = [], Interruption()
    patience = Patience(said.append)
    lasted = []
    for _ in range(8):
        before = sum(slept)
        patience.wait({"a": "process 1 on node3"}, asked)
        lasted.append(sum(slept) - before)
    assert lasted == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert said == ["waiting for units of other workers: a (process 1 on node3); Ctrl-C leaves"]
    patience.wait({"b": "it goes on from a"}, asked)
    assert said[1:] == ["waiting for units of other workers: b (it goes on from a); Ctrl-C leaves"]
    patience.over()
    before = sum(slept)
    patience.wait({"b": "it goes on from a"}, asked)
    assert sum(slept) - before == 0.5 and len(said) == 3


def test_a_signal_ends_it():
    asked = Interruption()
    asked.requested = True
    patience, start = Patience(lambda _: None), time.monotonic()
    for _ in range(9):
        patience.wait({"a": ""}, asked)
    assert time.monotonic() - start < 0.5


def test_the_first_few_are_named():
    assert shown(dict.fromkeys("abc", "x")) == "a (x), b (x), c (x)"
    assert shown(dict.fromkeys("abcde", "x")) == "a (x), b (x), c (x), 2 more"
