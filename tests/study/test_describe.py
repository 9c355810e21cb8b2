"""The plan of a study in words, and the names that its results will hold."""

import pytest
import tiny

from rare_retention.config import ConfigError
from rare_retention.study.describe import describe, variables

GAPS = "({'field': 'exposure.gap', 'values': (4, 8)},)"


def lines(**changes):
    """Lines of the plan by their first word."""
    found = list(describe(tiny.study(**changes)))
    return {line.split()[0]: " ".join(line.split()[1:]) for line in found}


def test_a_plan_counts_units_students_and_steps():
    plan = lines(grid=GAPS, streams=3)
    assert plan["units"] == "6: 3 streams x 2 values of gap"
    later = lines(grid=GAPS, streams=3, first_stream=1000)
    assert later["units"] == "6: 3 streams from 1000 on x 2 values of gap"
    weights = sum(2 * (width * 16 + 4 * 4 * width) for width in (2, 8))  # W, and D_k of 4 tasks
    assert plan["students"] == f"4 on each stream, {weights:,} parameters"
    assert plan["steps"] == "48 of 32 rows; 1,536 rows"
    assert plan["exposure"] == "burst, gap 4, regression 4 withheld, background iid"


def test_snapshots_of_all_units_are_counted():
    one, two = lines(), lines(streams=2)
    assert "snapshots" not in one
    count, size = (part.split()[0] for part in one["records"].split(", ")[2].split(" of "))
    bytes_of_one = 4 * sum(2 * (width * 16 + 4 * 4 * width) for width in (2, 8))
    assert float(size) == pytest.approx(int(count) * bytes_of_one / 2**20, rel=5e-3)
    assert two["snapshots"] == f"{2 * int(count) * bytes_of_one / 2**20:.3g} MB in all units"


def test_the_rarest_task_is_shown_as_often_as_the_schedule_says():
    *_, last = describe(tiny.study())
    share = float(tiny.run().schedule().shares[-1])
    assert last.split() == [
        *("regression", "4", f"{share:.4g}", "of", "the", "rows,"),
        *(f"{share * 32:.4g}", "a", "step,", f"{share * 32 * 48:,.0f}", "in", "all"),
    ]


def test_many_tasks_are_shown_by_the_most_and_the_least_frequent():
    tasks = {"run__setting__tasks__count": 12, "run__setting__tasks__block": 1}
    names = [line.split()[1] for line in describe(tiny.study(**tasks)) if "of the rows," in line]
    assert names == ["1", "2", "3", "4", "9", "10", "11", "12"]


def test_a_run_that_cannot_be_is_named_by_its_field():
    with pytest.raises(ConfigError, match=r"^run\.batch: 36 rows cannot be spread"):
        list(describe(tiny.study(run__batch=36, run__mesh__data=8)))
    with pytest.raises(ConfigError, match=r"^run\.snapshots\.budget_mb: "):
        list(describe(tiny.study(run__snapshots__budget_mb=1e-6)))


def test_a_plan_for_elsewhere_may_have_more_devices_than_stand_here():
    """Those of the tests are eight."""
    study = tiny.study(run__mesh__data=16)
    with pytest.raises(ConfigError, match="does not fit 8 devices"):
        list(describe(study))
    found = list(describe(study, elsewhere=True))
    assert "devices    16, of which 8 x cpu here" in found
    with pytest.raises(ConfigError, match=r"run\.batch: 32 rows .* over 12 devices"):
        list(describe(tiny.study(run__mesh__data=12), elsewhere=True))


def test_results_hold_what_is_measured_and_varied():
    plain = variables(tiny.study(run__measure__effect=False, grid=GAPS))
    assert {"loss", "signal", "frequency", "gap", "train_loss"} <= plain
    assert not {"gram", "predicted_change", "r2"} & plain
    more = variables(tiny.study(run__measure__gradients=True))
    assert {"gram", "block_weights", "predicted_change"} <= more
