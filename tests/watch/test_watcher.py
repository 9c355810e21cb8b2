"""Whole runs, watched."""

import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.record import metrics
from rare_retention.record.live import NAME, read_live, write_live
from rare_retention.record.lock import Lost
from rare_retention.train.loop import train
from rare_retention.train.updates import learning_rate
from rare_retention.watch import watcher as module
from rare_retention.watch.profile import FOLDER, Profiler, Span
from rare_retention.watch.watcher import Watcher
from rare_retention.watch.watching import Watching


class Tracked:
    """A tracker that keeps what it is told."""

    def __init__(self, place):
        self.place, self.said, self.logged = place, [], {}

    def begin(self, step):
        self.said.append(f"begin {step}")

    def log(self, step, time, scalars):
        self.logged[step] = scalars

    def flush(self):
        self.said.append("flush")

    def close(self):
        self.said.append("close")


@pytest.fixture
def opened(monkeypatch):
    """Trackers that were opened."""
    found = []

    def open_tracker(name, place):
        found.append(Tracked(place))
        return found[-1]

    monkeypatch.setattr(module, "open_tracker", open_tracker)
    return found


def watched(run, folder, **own):
    return train(run, epath.Path(folder), "unit", watching=Watching(trackers=("x",), **own))


def test_every_measured_state_is_logged_by_name(tmp_path, opened):
    run = tiny.run(optimizer__warmup=10, optimizer__relative=(1.0, 0.5))
    watched(run, tmp_path, study="a study")
    (own,) = opened
    assert own.place.label == "unit" and own.place.study == "a study"
    assert own.place.config["batch"] == 32
    assert own.said[0] == "begin 0" and own.said[-1] == "close"
    values = metrics.read(epath.Path(tmp_path))
    assert list(own.logged) == values["step"].tolist()
    last = own.logged[48]
    np.testing.assert_allclose(last["train_loss/2 #1"], values["train_loss"][-1, 1])
    np.testing.assert_allclose(last["loss/regression 4/8"], values["loss"][-1, 2, 3])
    np.testing.assert_allclose(last["signal/regression 1/2"], values["signal"][-1, 0, 0])
    np.testing.assert_allclose(last["gradient_norm/8"], values["gradient_norm"][-1, 2])
    # That of the update that led to the state.
    rates = [
        float(learning_rate(run.optimizer, run.optimizer.peak)(np.int32(step)))
        for step in range(48)
    ]
    for step, logged in own.logged.items():
        if step:
            assert logged["learning_rate/2"] == pytest.approx(rates[step - 1])
            assert logged["learning_rate/8"] == pytest.approx(rates[step - 1] / 2)
    assert not [name for name in own.logged[0] if name.startswith(("learning", "train_loss"))]
    assert last["rows_per_second"] == pytest.approx(32 * last["steps_per_second"])


def test_watching_changes_no_bit(tmp_path, opened):
    plain, other = tmp_path / "plain", tmp_path / "watched"
    train(tiny.run(), epath.Path(plain))
    profiler = Profiler(Span(5, 11), print, writes=True)
    watched(tiny.run(), other, profiler=profiler)
    assert (other / FOLDER).exists() and profiler.done
    one, two = (metrics.read(epath.Path(folder)) for folder in (plain, other))
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)
    manifests = [(folder / "config.json").read_bytes() for folder in (plain, other)]
    assert manifests[0] == manifests[1]


def test_a_run_that_goes_on_logs_from_there(tmp_path, opened):
    watched(tiny.run(steps=16), tmp_path)
    watched(tiny.run(), tmp_path)
    first, second = opened
    assert second.said[0] == "begin 16"
    assert max(first.logged) == 16 < min(second.logged) and max(second.logged) == 48


def test_progress_is_written_down(tmp_path, monkeypatch):
    written = []

    def keep(folder, live):
        written.append(live)
        write_live(folder, live)

    monkeypatch.setattr(module, "write_live", keep)
    monkeypatch.setattr(module, "WRITE", 0.0)
    train(tiny.run(), epath.Path(tmp_path))
    doing = list(dict.fromkeys(live.doing for live in written))
    assert doing[0] == "starting" and doing[-2:] == ["training", "left"]
    steps = [live.step for live in written]
    assert steps == sorted(steps) and len(set(steps)) > 5
    last = read_live(epath.Path(tmp_path))
    assert (last.doing, last.step, last.steps, last.loss_step) == ("left", 48, 48, 48)
    values = metrics.read(epath.Path(tmp_path))["train_loss"][-1]
    assert last.loss == pytest.approx({"2": values[:2].mean(), "8": values[2:].mean()})
    assert last.rate > 0


def test_a_tracker_that_breaks_is_said_once_and_training_goes_on(tmp_path, opened, monkeypatch):
    def broken(self, *_):
        raise OSError("the network\nis away")

    monkeypatch.setattr(Tracked, "log", broken)
    with warnings.catch_warnings(record=True, action="always") as said:
        assert watched(tiny.run(), tmp_path) == 48
    (own,) = [str(one.message) for one in said if "goes on without it" in str(one.message)]
    assert "OSError: the network is away" in own and "\n" not in own


def test_trackers_are_flushed_by_time(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(module, "FLUSH", 0.0)
    watched(tiny.run(), tmp_path)
    assert opened[0].said.count("flush") > 5
    monkeypatch.setattr(module, "FLUSH", 1e6)
    monkeypatch.setattr(module, "WRITE", 1e6)
    watched(tiny.run(steps=64), tmp_path)
    assert opened[1].said == ["begin 48", "close"]


def test_who_was_taken_over_writes_no_more(tmp_path, opened):
    folder = epath.Path(tmp_path)
    watcher = Watcher(Watching(trackers=("x",)), tiny.run(), folder, "unit")
    before = []

    def lose():
        with watcher, watcher.training(0):
            assert not (folder / NAME).exists()  # it may be another run's
            watcher.begins()
            before.append(read_live(folder))
            watcher.reached(8, None)
            raise Lost("taken over")

    with pytest.raises(Lost):
        lose()
    assert [read_live(folder)] == before and opened[0].said == ["begin 0"]


def test_compilation_is_named_and_is_no_progress(tmp_path, capsys):
    folder = epath.Path(tmp_path)

    def slow(x):
        time.sleep(0.3)  # of tracing
        return jnp.sin(x)

    with Watcher(Watching(), tiny.run(), folder, "unit") as own, own.training(0):
        own.begins()
        jax.jit(slow)(jnp.ones(3))
        assert read_live(folder).doing == "compiling"
        assert "compiling" in capsys.readouterr().err
        own.reached(8, None)
        assert own._live.doing == "training" and own._live.rate > 8 / 0.3


def test_the_plan_keeps_its_stops_and_a_profile_adds_two(tmp_path):
    profiler = Profiler(Span(5, 20), print, writes=True)
    own = Watcher(Watching(profiler=profiler), tiny.run(), epath.Path(tmp_path), "")
    assert own.stops((8, 20, 48), 0) == (5, 8, 20, 48)
    assert own.stops((8, 20, 48), 8) == (8, 20, 48)
