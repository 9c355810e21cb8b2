"""From operations to hours."""

import json

import pytest
from made_plans import booking, compiled

from rare_retention.planning.booking import total


def test_hours_follow_from_operations_peak_and_share():
    own = booking(flops=197e12 * 16 * 0.4 * 2, steps=1800, call=30)
    assert own.seconds == pytest.approx(2)
    assert (own.hours, own.chip_hours) == (pytest.approx(1), pytest.approx(16))
    assert own.json()["minutes_per_call"] == pytest.approx(1)


def test_no_hours_where_no_peak_is_stated():
    own = booking(topology="cpu:8")
    assert (own.seconds, own.hours, own.chip_hours) == (None, None, None)
    assert total([own]) is None


def test_the_program_that_takes_the_most_decides():
    own = booking(compiled={"run": compiled(10), "advance": compiled(30), "measure": compiled(20)})
    assert own.json()["bytes_per_device"] == 30
    assert own.json()["bytes_by_program"] == {"run": 10, "advance": 30, "measure": 20}


def test_cycles_are_seconds_at_the_chips_clock():
    assert booking().bound is None
    own = booking(compiled={"run": compiled(10)._replace(cycles=3_000_000_000)})
    assert own.bound == pytest.approx(2)  # of a v5e, 1.5 GHz
    assert own.charged == own.bound
    own.compiled["run"] = own.compiled["run"]._replace(kernels=197 * 10**12)
    assert own.charged == pytest.approx(2 + 2)  # a second's work at half of its peak


def test_a_study_costs_all_its_units_unless_one_does_not_fit():
    one = booking(units=3)
    assert total([one, booking(units=1)]) == pytest.approx(4 * one.chip_hours)
    assert total([one, booking(fits=False)]) is None


def test_a_plan_is_json():
    assert json.loads(json.dumps(booking().json()))["fits"] is True
