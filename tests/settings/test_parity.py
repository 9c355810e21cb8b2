"""Sparse parities: what the setting is, without computing it."""

import dataclasses

import numpy as np
import pytest

from rare_retention import config
from rare_retention.errors import ConfigError
from rare_retention.experiment import Run
from rare_retention.settings.parity import Parity

SETTING = Parity(tasks=4, bits=6, subset=2, widths=(5, 3), watch=(-1, 0))


def test_what_it_says_of_itself():
    """Tasks, frequencies and constants; it survives JSON."""
    assert SETTING.task_names == ("parity 1", "parity 2", "parity 3", "parity 4")
    assert SETTING.watch_ids == (3, 0)
    assert SETTING.inputs == 10
    weights = np.arange(1, 5) ** -1.4
    np.testing.assert_allclose(SETTING.frequencies, weights / weights.sum(), rtol=1e-12)
    (name, (measure, values)), *others = SETTING.constants().items()
    assert (name, measure.dims, others) == ("frequency", ("task",), [])
    np.testing.assert_array_equal(values, SETTING.frequencies)
    assert config.from_json(Parity, config.to_json(SETTING)) == SETTING


def test_shams_stand_behind_the_subtasks_and_are_never_shown():
    own = dataclasses.replace(SETTING, shams=2, watch=(3, -1))
    assert own.task_names[-2:] == ("parity 5", "parity 6") and own.inputs == 12
    np.testing.assert_allclose(own.frequencies, [*SETTING.frequencies, 0, 0], rtol=1e-12)
    assert (own.watch_ids, own.objective.rarest, own.objective.tasks) == ((3, 5), 3, 6)
    np.testing.assert_array_equal(own.numbers(1).subsets[:4], SETTING.numbers(1).subsets)
    schedules = [Run(setting=setting, batch=64).schedule() for setting in (SETTING, own)]
    first, second = ([schedule.rows(step) for step in range(20)] for schedule in schedules)
    np.testing.assert_array_equal(first, second)
    assert "shams" not in SETTING.recipe() and own.recipe()["shams"] == 2


def test_operations_are_those_of_its_products():
    """Forward and backward, counted product by product; bits need no gradient."""
    rows, bits, outputs = 8, 6, 2
    counted = {n: 2 * (2 * rows * bits * n) + 3 * (2 * rows * n * outputs) for n in SETTING.widths}
    assert SETTING.family.flops(rows) == counted
    assert list(counted) == [5, 3] and list(SETTING.family.flops(rows)) == [3, 5]


def test_every_draw_has_other_subsets_and_the_same_rows():
    one, other = SETTING.numbers(0), SETTING.numbers(1)
    assert not np.array_equal(one.subsets, other.subsets)
    np.testing.assert_array_equal(one.rows, other.rows)
    run = Run(setting=SETTING, stream=3)
    assert (run.seeds.tasks, run.fixed) == (3, ())
    assert dataclasses.replace(run, held=("tasks",)).seeds.tasks == 0


@pytest.mark.parametrize("changes", [{"widths": (9,)}, {"prior_exponent": 0.5}])
def test_subsets_depend_on_neither_widths_nor_frequencies(changes):
    changed = dataclasses.replace(SETTING, **changes)
    np.testing.assert_array_equal(changed.numbers(2).subsets, SETTING.numbers(2).subsets)


def test_a_program_knows_nothing_of_subsets_frequencies_and_seeds():
    changed = dataclasses.replace(SETTING, prior_exponent=0.5, task_seed=7)
    assert changed.family == SETTING.family
    assert changed.objective == SETTING.objective


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tasks": 0}, "tasks: expected at least 1, got 0"),
        ({"tasks": 16}, "tasks: expected at most 15, the number of subsets of 2 of 6 bits, got 16"),
        ({"bits": 0}, "bits: expected at least 1, got 0"),
        ({"subset": 7}, "subset: expected at most bits = 6 of the bits, got 7"),
        ({"bits": 100, "subset": 50}, r"subset: expected fewer than 2\^62 subsets"),
        ({"prior_exponent": -1.0}, "prior_exponent: expected at least 0"),
        ({"widths": ()}, "widths: "),
        ({"widths": (4, 0)}, r"widths\[1\]: expected at least 1, got 0"),
        ({"widths": (4, 4)}, "widths: expected different widths"),
        ({"initialisations": 0}, "initialisations: expected at least 1, got 0"),
        ({"evaluated": 0}, "evaluated: expected at least 1, got 0"),
        ({"task_seed": -1}, "task_seed: expected at least 0, got -1"),
        ({"watch": (4,)}, r"watch\[0\]: expected a task from -4 to 3, got 4"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    """One line each, which names the field."""
    with pytest.raises(ConfigError, match=message) as error:
        dataclasses.replace(SETTING, **values)
    assert "\n" not in str(error.value)
