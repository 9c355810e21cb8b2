import jax
import numpy as np
import pytest
import tiny
import tiny_text

from rare_retention.errors import ConfigError
from rare_retention.experiment import Measurement, Run
from rare_retention.optimizer import Optimizer
from rare_retention.settings.competition import Competition
from rare_retention.tasks import Comparison
from rare_retention.train.plan import (
    check_budget,
    common,
    data_key,
    log_spaced,
    make_plan,
    own_numbers,
    sizes,
)


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


def test_regular_snapshots_begin_at_the_start_and_end_with_the_run():
    run = tiny.run(snapshots__cycles=0, snapshots__every=20)
    plan = make_plan(run, run.schedule())
    assert plan.snapshots == (0, 20, 40, 48)
    assert {20, 40, 48} <= set(plan.stops) and 0 not in plan.stops


def even(placement="even", **changes):
    """Exposures of the rare task at about every twentieth step, in each stream at its own."""
    rare = 1 / (32 * 20)
    changes = {"steps": 400, "measure__every": 400, "checkpoints__every": 400} | changes
    return tiny.run(
        exposure__placement=placement,
        exposure__gap=1,
        setting__tasks__count=2,
        setting__tasks__prior=f"({1 - rare}, {rare})",
        **changes,
    )


@pytest.mark.parametrize("placement", ["even", "iid"])
def test_streams_of_other_exposures_are_measured_at_common_steps_too(placement):
    """As many as one of them takes for its own cycles, evenly over the run."""
    runs = [even(placement, stream=i, snapshots__cycles=1) for i in range(3)]
    plans = [make_plan(run, run.schedule()) for run in runs]
    for run, plan in zip(runs, plans, strict=True):
        first, *_ = exposures = run.schedule().exposures(0, 400, -1).tolist()
        assert {first, first + 1, exposures[1], exposures[-1] + 1} <= {0, *plan.stops}
        assert {first, first + 1, exposures[1]} <= set(plan.snapshots)
    for name, per_doubling in (("stops", 2), ("snapshots", 1)):
        each = 1 + len(log_spaced(19, per_doubling))
        cycles = runs[0].measure.cycles if name == "stops" else 1
        shared = set.intersection(*(set(getattr(plan, name)) for plan in plans))
        evenly = np.linspace(0, 400, cycles * each + 1)[1:].round()
        assert set(evenly.astype(int)) <= shared
        assert len(shared) < 2 * cycles * each


def test_common_steps_follow_from_the_rate_alone():
    assert common(1 / 20, 400, 2, 1) == set(np.linspace(0, 400, 17)[1:].round().astype(int))
    assert common(1.0, 5, 3, 2) == {1, 2, 3, 4, 5}
    assert common(1 / 1000, 400, 6, 1) <= set(range(401))
    assert 400 in common(1 / 1000, 400, 6, 1)
    assert common(1 / 20, 400, 0, 1) == set()


def test_bursts_are_common_already():
    run = tiny.run(measure__every=48, snapshots__cycles=0)
    assert make_plan(run, run.schedule()).stops == (7, 8, 9, 10, 11, 12, 14, 15, 16, 32, 47, 48)


@pytest.mark.parametrize("placement", ["even", "iid", "burst"])
def test_a_history_that_was_counted_gives_the_same_plan(placement):
    run = tiny.run(steps=47) if placement == "burst" else even(placement)  # a burst comes next
    schedule = run.schedule()
    history = schedule.history(run.steps, run.setting.watch_ids)
    assert make_plan(run, schedule, history) == make_plan(run, schedule)


def test_cycles_of_a_task_that_is_not_withheld_are_refused():
    run = tiny.run(setting__watch=(0,), measure__cycles=2)
    with pytest.raises(
        ConfigError, match=r"exposure\.withheld: cycles of .* expected 0 among them"
    ):
        make_plan(run, run.schedule())
    tasks = (Comparison(per_token=0.01, symbols=9), Comparison(per_token=0, symbols=9))
    setting = tiny_text.language(tasks=tasks, watch=(2,))
    run = Run(setting=setting, batch=64, steps=8, measure=Measurement(cycles=2))
    with pytest.raises(ConfigError, match=r"setting.watch: .* but comparison 2 is never shown"):
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
    key = jax.random.key_data(data_key(run.seeds.batches))
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
    assert check_budget(run, size, plan) == 4 * parameters * len(plan.snapshots)
    with pytest.raises(ConfigError, match="budget"):
        check_budget(run, size._replace(parameter_bytes=2**40), plan)


def test_muon_is_refused_where_there_is_no_matrix():
    """Angles of neurons are none; of a bottleneck both arrays are."""
    optimizer = Optimizer(method="muon", schedule="constant")
    run = Run(setting=Competition(), optimizer=optimizer, batch=8, steps=8)
    with pytest.raises(ConfigError) as refusal:
        make_plan(run, run.schedule())
    assert str(refusal.value).startswith(
        "optimizer.method: 'muon' is for matrices, and no weight of a competition model of size 1 "
        "is one; expected 'adamw' or 'sgd'"
    )
    assert make_plan(tiny.run(optimizer__method="muon"), tiny.run().schedule()).stops
