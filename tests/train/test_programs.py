"""Programs that runs share: other numbers compile none, and none keeps those of another run.

Each kind of setting trains a run, then one of another frequency, stream and learning rate with the
programs of the first, then the second one again with programs of its own.
"""

import jax
import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.experiment import Measurement, Run
from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
from rare_retention.record.records import RESUME, steps_in
from rare_retention.settings.competition import Competition
from rare_retention.settings.parity import Parity
from rare_retention.settings.traced import traced_of
from rare_retention.train.loop import programs, train

EVERYTHING = {"measure__gradients": True, "measure__effect": True}


def regression(prior_exponent, **changes):
    return tiny.run(
        steps=16,
        measure__every=8,
        setting__initialisations=1,
        setting__tasks__prior_exponent=prior_exponent,
        **EVERYTHING,
        **changes,
    )


def competition(rare, stream=0, peak=0.05):
    return Run(
        setting=Competition(rare=rare, initialisations=2),
        optimizer=Optimizer(method="sgd", schedule="constant", peak=peak, clip=None),
        batch=8,
        steps=16,
        stream=stream,
        measure=Measurement(every=8, gradients=True),
        mesh=MeshShape(data=1),
    )


def parity(prior_exponent, stream=0, peak=1e-2):
    return Run(
        setting=Parity(tasks=3, bits=5, prior_exponent=prior_exponent, widths=(4,)),
        optimizer=Optimizer(peak=peak),
        batch=8,
        steps=16,
        stream=stream,
        measure=Measurement(every=8, gradients=True),
        mesh=MeshShape(data=1),
    )


def language(instances, **changes):
    """Of one size; comparisons in each batch, and exposures around which it is measured."""
    rate = instances / tiny_text.TOKENS
    given = {"setting__tasks[0].per_token": rate, "measure__cycles": 1}
    setting = tiny_text.language(sizes=("1x8x16x2",), watch=(1,))
    return tiny_text.run(setting, **given, **EVERYTHING, **changes)


PAIRS = {
    "regression": (
        regression(2.0),
        regression(1.0, stream=3, optimizer__peak=2e-2, optimizer__relative="(1.0, 0.5)"),
    ),
    "expected": (
        regression(2.0, setting__gradient="expected"),
        regression(1.0, setting__gradient="expected", stream=3, optimizer__peak=2e-2),
    ),
    "muon": (
        regression(2.0, optimizer__method="muon"),
        regression(1.0, optimizer__method="muon", stream=3, optimizer__peak=2e-2),
    ),
    "competition": (competition(0.25), competition(0.125, stream=3, peak=0.02)),
    "parity": (parity(1.4), parity(0.5, stream=3, peak=2e-2)),
    "language": (language(3), language(2, stream=3, optimizer__peak=2e-2)),
}


QUICK = ("regression", "language")


@pytest.fixture(scope="module")
def compiled():
    """Names of the events of compilation so far."""
    events = []

    def listen(event, duration, **about):
        if "backend_compile" in event:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return events


def forget():
    programs.cache_clear()
    jax.clear_caches()


def records(run, folder):
    """Everything measured, and the whole state at the end."""
    folder = epath.Path(folder)
    train(run, folder)
    state = verify(folder / RESUME, steps_in(folder / RESUME)[-1])
    return metrics.read(folder), [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


# A mixture and a text stand for the others, which compile as much.
EACH = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in PAIRS]


@pytest.mark.parametrize("kind", EACH)
def test_a_run_of_other_numbers_compiles_nothing_and_is_itself(kind, compiled, tmp_path):
    first, second = PAIRS[kind]
    forget()
    before = len(compiled)
    other, _ = records(first, tmp_path / "first")
    after = len(compiled)
    assert after > before
    values, state = records(second, tmp_path / "second")
    assert len(compiled) == after
    forget()
    alone, expected = records(second, tmp_path / "alone")
    assert len(compiled) > after
    assert values.keys() == alone.keys() == other.keys()
    for name, found in values.items():
        np.testing.assert_array_equal(found, alone[name], err_msg=name)
    for found, own in zip(state, expected, strict=True):
        np.testing.assert_array_equal(found, own)
    assert np.any(values["reference"][-1] != other["reference"][-1])


def test_programs_are_those_of_the_shapes_alone():
    """What a program is made for is equal where it may be shared, and different where not."""
    run = tiny_text.run()
    same = tiny_text.run(
        **{"setting__tasks[0].per_token": 0.01, "setting__task_seed": 5, "setting__evaluated": 3},
        optimizer__peak=1.0,
    )
    assert traced_of(run.setting) == traced_of(same.setting) and run.setting != same.setting
    assert run.optimizer.form == same.optimizer.form != run.optimizer
    for changes in (
        {"setting__compute__remat": "full"},
        {"setting__initialisations": 2},
        {"setting__per_sequence": 3},
        {"setting__watch": "(1,)"},
        {"setting__neurons": 3},
    ):
        assert traced_of(tiny_text.run(**changes).setting) != traced_of(run.setting)
    assert tiny_text.run(optimizer__warmup=3).optimizer.form != run.optimizer.form
    assert traced_of(tiny.run(setting__widths="(2, 9)").setting) != traced_of(tiny.run().setting)
