"""Steps a second."""

import pytest

from rare_retention.watch.speed import WINDOW, Speed, per_second


def test_it_is_not_known_at_first():
    speed = Speed()
    speed.begin(100, 5.0, 0.0)
    assert speed.rate is None


def test_steps_since_the_start_over_the_time_since():
    speed = Speed()
    speed.begin(100, 5.0, 0.0)
    speed.reached(110, 7.0, 0.0)
    assert speed.rate == 5.0


def test_compilation_is_no_time():
    speed = Speed()
    speed.begin(0, 0.0, 3.0)
    speed.reached(10, 42.0, 43.0)  # of these 42 seconds 40 went into compiling
    assert speed.rate == 5.0


def test_only_the_last_while_counts():
    speed, now = Speed(), 0.0
    speed.begin(0, 0.0, 0.0)
    for step in range(1, 101):
        now += 1.0 if step <= 50 else 4.0
        speed.reached(step, now, 0.0)
    assert speed.rate == pytest.approx(0.25)


def test_many_quick_calls_need_no_memory():
    speed = Speed()
    speed.begin(0, 0.0, 0.0)
    for step in range(1, 100_001):
        speed.reached(step, step / 1000, 0.0)
    assert speed.rate == pytest.approx(1000, rel=0.01)
    assert len(speed._points) < 200 and WINDOW > 1


def test_what_machines_are_compared_by():
    found = per_second(2.0, "tokens", 1000, 3e9, 12e9)
    assert found == {"steps_per_second": 2.0, "tokens_per_second": 2000.0, "mfu": 0.5}
    assert "mfu" not in per_second(2.0, "rows", 10, 3e9, None)
