"""The status of a study, on a terminal."""

import pytest

from rare_retention.study.status import StudyStatus
from rare_retention.study.status_table import losses, summary, table
from rare_retention.study.unit_status import UnitStatus

UNITS = (
    UnitStatus(name="a", state="finished", step=1000, steps=1000, loss={"2": 0.123456}),
    UnitStatus(
        name="bb",
        state="running",
        step=250,
        steps=1000,
        rate=12.34,
        left=61.0,
        host="n1",
        process="47",
    ),
    UnitStatus(
        name="c", state="running", step=0, steps=1000, host="n2", process="8", note="compiling"
    ),
    UnitStatus(name="d", state="failed", step=10, steps=1000, note="ValueError: x"),
)


def status(*units):
    return StudyStatus(name="x", workdir="w", time="", units=units)


def test_rows_have_what_is_known_and_notes_follow():
    head, *rows, note, total = table(status(*UNITS))
    assert head.split() == ["unit", "state", "step", "of", "steps/s", "left", "loss", "held", "by"]
    assert rows[0].split() == ["a", "finished", "1,000", "1,000", "2:", "0.123"]
    assert rows[1].split() == ["bb", "running", "250", "1,000", "12.3", "1m", "01s", "n1", "(47)"]
    assert rows[2].split() == ["c", "running", "(compiling)", "0", "1,000", "n2", "(8)"]
    assert note == "d: ValueError: x"
    assert total.startswith("4 units: 1 finished, 2 running, 1 failed; about 2m 22s left")


def test_numbers_stand_below_each_other():
    head, *rows = list(table(status(*UNITS)))[:5]
    end = head.index("step") + len("step")
    for row, step in zip(rows, ("1,000", "250", "0", "10"), strict=True):
        assert row[:end].endswith(f" {step}")


def test_without_any_that_runs_nothing_is_said_of_the_time():
    assert summary(status(UNITS[0])) == "1 unit: 1 finished"


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({}, ""),
        ({"4M": 0.5}, "4M: 0.5"),
        ({"4M": 0.5, "8M": float("nan")}, "4M: 0.5, 8M: not finite"),
        (dict(zip("abcd", range(4), strict=True)), "a: 0 ... d: 3"),
    ],
)
def test_losses_of_few_sizes_all_of_many_the_ends(loss, expected):
    assert losses(loss) == expected
