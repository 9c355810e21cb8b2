"""The contract of instruments, on one that measures how far weights go."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.config import ConfigError, config
from rare_retention.experiment import Measurement
from rare_retention.instruments import INSTRUMENTS
from rare_retention.instruments.effect import Effect
from rare_retention.instruments.gradients import Gradients
from rare_retention.instruments.instrument import Instrument
from rare_retention.record import metrics
from rare_retention.settings.quantity import Quantity
from rare_retention.train.loop import train


@pytest.fixture
def path(monkeypatch):
    """An instrument that is known in this test alone."""
    monkeypatch.setattr(INSTRUMENTS, "_classes", dict(INSTRUMENTS._classes))

    @INSTRUMENTS.add
    @config
    class Path(Instrument):
        kind: Literal["path length"] = "path length"

        def quantities(self, setting):
            return {
                "path": Quantity((), "weights", "length of the updates, one after another"),
                "length": Quantity((), "weights", "length of the last update"),
            }

        def start(self, traced, params):
            return {name: jnp.zeros(leaves(own)[0].shape[0]) for name, own in params.items()}

        def follow(self, followed, moment):
            return jax.tree.map(jnp.add, followed, lengths(moment.updates))

        def read(self, followed, moment):
            return {"path": followed, "length": lengths(moment.updates)}

    yield Path()
    monkeypatch.undo()


leaves = jax.tree.leaves


def lengths(updates):
    def length(leaf):
        return jnp.square(leaf).sum(range(1, leaf.ndim))

    return {name: jnp.sqrt(sum(map(length, leaves(own)))) for name, own in updates.items()}


def test_a_run_records_what_an_instrument_of_its_own_reads(path, tmp_path):
    """Since the last measurement; the state is the same bits as without it."""
    run = tiny.run(steps=8, measure__every=2, measure__cycles=0, snapshots__cycles=0)
    own = dataclasses.replace(run, measure=Measurement(every=2, instruments=(path,)))
    assert own.identity() == run.identity()
    folders = [epath.Path(tmp_path / name) for name in ("without", "with")]
    for one, folder in zip((run, own), folders, strict=True):
        train(one, folder)
    plain, found = map(metrics.read, folders)
    assert found["path"].shape == (5, 4) and np.isnan(found["path"][0]).all()
    assert (found["path"][1:] > found["length"][1:]).all()  # two steps, of which one is the last
    for name, values in plain.items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


def test_a_run_goes_on_with_other_instruments(path, tmp_path):
    """Stopped between two measurements; what is new starts there, what stays goes on."""
    run = tiny.run(steps=16, measure__every=16, measure__cycles=0, snapshots__cycles=0)
    half = dataclasses.replace(run, steps=12)
    measure = Measurement(every=16, instruments=(path,))
    for first, then in ((half.measure, measure), (measure, Measurement(every=16, effect=False))):
        folder = epath.Path(tmp_path / f"{len(first.tools)}")
        train(dataclasses.replace(half, measure=first), folder)
        assert train(dataclasses.replace(run, measure=then), folder) == 16
        found = {name: values[-1] for name, values in metrics.read(folder).items()}
        last = {name: own for name, own in found.items() if np.isfinite(own).all()}
        kinds = {"predicted_change", "path"} & last.keys()
        assert kinds == {name for tool in then.tools for name in tool.quantities(run.setting)} - {
            "length"
        }
        alone = epath.Path(tmp_path / f"alone {len(first.tools)}")
        train(dataclasses.replace(run, measure=then), alone)
        np.testing.assert_array_equal(last["loss"], metrics.read(alone)["loss"][-1])


def test_switches_and_lists_are_one_tuple(path):
    assert Measurement().tools == (Effect(),)
    both = Measurement(gradients=True, instruments=(path,))
    assert both.tools == (Effect(), Gradients(), path)
    with pytest.raises(ConfigError, match=r"instruments\[1\]: 'path length' is listed twice"):
        Measurement(instruments=(path, path))
    with pytest.raises(ConfigError, match=r"instruments\[0\]: expected measure.effect instead"):
        Measurement(instruments=(Effect(),))
