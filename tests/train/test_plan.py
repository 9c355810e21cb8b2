import jax
import numpy as np
import pytest
import tiny
import tiny_text

from rare_retention.errors import ConfigError
from rare_retention.train.plan import check_budget, log_spaced, make_plan, own_numbers, sizes


def test_log_spaced_points():
    assert log_spaced(0, 2) == [0]
    assert log_spaced(1, 2) == [0, 1]
    assert log_spaced(10, 1) == [0, 1, 2, 4, 8, 10]
    dense = log_spaced(1000, 3)
    assert dense[0] == 0 and dense[-1] == 1000 and len(dense) == len(set(dense))


def test_states_around_exposures():
    run = tiny.run(measure__every=48, measure__cycles=2, snapshots__cycles=1)
    plan = make_plan(run, run.schedule())
    # Bursts stand at steps 7, 15, 23, 31, 39, 47; the first and the last are chosen.
    assert {7, 8, 9, 15, 47, 48} <= set(plan.stops)
    assert plan.snapshots == (7, 8, 9, 10, 12, 15)
    assert plan.checkpoints == (16, 32, 48)
    assert set(plan.checkpoints) | set(plan.snapshots) <= set(plan.stops)


def test_cycles_of_a_task_that_is_not_withheld_are_refused():
    run = tiny.run(setting__watch=(0,), measure__cycles=2)
    with pytest.raises(
        ConfigError, match=r"exposure\.withheld: cycles of .* expected 0 among them"
    ):
        make_plan(run, run.schedule())
    run = tiny.run(setting__watch=(0,), measure__cycles=0, snapshots__cycles=0)
    assert make_plan(run, run.schedule()).stops[-1] == 48


def test_regular_stops_bound_the_length_of_a_call():
    run = tiny.run(measure__every=5, measure__cycles=0, snapshots__cycles=0)
    stops = make_plan(run, run.schedule()).stops
    assert stops[-1] == 48
    assert max(b - a for a, b in zip((0, *stops), stops, strict=False)) <= 5


@pytest.mark.parametrize("held", ["()", "('weights',)", "('tasks', 'batches')"])
def test_numbers_are_those_of_the_run(held):
    run = tiny_text.run(stream=2, held=held, optimizer__relative="(1.0, 0.5)")
    found = own_numbers(run)
    key = jax.random.key_data(run.data_key())
    np.testing.assert_array_equal(found.key, key)
    assert found.draw == (0 if "weights" in held else 2)
    assert list(found.rates) == list(run.setting.architectures)
    np.testing.assert_allclose(list(found.rates.values()), [1e-2, 5e-3], rtol=1e-6)
    asked = run.setting.instances(0 if "tasks" in held else 2)[0]
    np.testing.assert_array_equal(found.numbers.train[0], asked.tokens[asked.train[:20]])


def test_a_rate_for_each_size_or_none():
    with pytest.raises(ConfigError, match=r"optimizer.relative: .* each of 2 sizes, got 1"):
        own_numbers(tiny.run(optimizer__relative="(1.0,)"))


def test_budget_counts_every_snapshot():
    run = tiny.run()
    plan = make_plan(run, run.schedule())
    size = sizes(run)
    parameters = 2 * (2 * 16 + 16 * 2) + 2 * (8 * 16 + 16 * 8)
    assert size.parameters == parameters and size.parameter_bytes == 4 * parameters
    assert check_budget(run, size.parameter_bytes, plan) == 4 * parameters * len(plan.snapshots)
    with pytest.raises(ConfigError, match="budget"):
        check_budget(run, 2**40, plan)
