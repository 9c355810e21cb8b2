"""Students that diverge are frozen and named; spikes are skipped as OLMo-core skips them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from etils import epath

from rare_retention.errors import ConfigError
from rare_retention.optimizer import Optimizer
from rare_retention.record import metrics
from rare_retention.record.checkpoints import verify
from rare_retention.record.manifest import read_manifest
from rare_retention.record.records import RESUME, RETENTION, steps_in
from rare_retention.settings.objective import Losses
from rare_retention.study.execute import execute
from rare_retention.study.results import gather
from rare_retention.train import guard
from rare_retention.train.loop import train

SKIPS = Optimizer(skip_above=2.0, skip_window=8)


def judged(optimizer, losses, norms):
    """Who takes each step: losses and norms [T, S] -> taken [T, S], and what is kept at the end."""
    params = {"a": {"w": jnp.zeros((losses.shape[1], 3))}}
    step = jax.jit(
        lambda kept, t, loss, norm: guard.judge(
            optimizer,
            kept,
            t,
            {"a": Losses(by_task=jnp.stack([loss / 2, loss / 2], -1))},
            {"a": {"w": jnp.stack([norm, 0 * norm, 0 * norm], -1)}},
        )
    )
    kept, found = guard.start(optimizer, params), []
    for t, (loss, norm) in enumerate(zip(losses, norms, strict=True)):
        taken, kept = step(kept, jnp.int32(t), jnp.float32(loss), jnp.float32(norm))
        found.append(np.asarray(taken["a"]))
    return np.array(found), jax.tree.map(np.asarray, kept)


def test_who_diverges_takes_no_step_from_there_on():
    losses, norms = np.ones((6, 4)), np.ones((6, 4))
    losses[2, 0], norms[3, 1], losses[4, 2] = np.nan, np.inf, -np.inf
    taken, kept = judged(Optimizer(), losses, norms)
    assert taken.tolist() == [[t < 2, t < 3, t < 4, True] for t in range(6)]
    assert kept["halted"].tolist() == [2, 3, 4, -1]
    assert kept.keys() == {"halted"}


def as_olmo_core(losses, norms, above, window):
    """Steps that are taken by one student, from lists of what came before, in float64."""
    taken = []
    for t in range(len(losses)):
        first = max(0, t - window)
        before = np.stack([losses[first:t], norms[first:t]], -1)
        if len(before) + 1 < max(2, window // 2):
            taken.append(True)
            continue
        mean, deviation = before.mean(0), before.std(0, ddof=1)
        taken.append(bool(np.all([losses[t], norms[t]] - mean <= above * deviation)))
    return taken


def test_spikes_are_skipped_as_in_olmo_core():
    rng = np.random.default_rng(5)
    losses, norms = rng.lognormal(0, 0.6, (2, 200, 3))
    taken, kept = judged(SKIPS, losses, norms)
    expected = [as_olmo_core(losses[:, s], norms[:, s], 2.0, 8) for s in range(3)]
    assert taken.T.tolist() == expected
    counts = (~taken).sum(0)
    assert counts.min() > 5 and kept["skipped"].tolist() == counts.tolist()
    assert (kept["halted"] == -1).all()


def test_a_window_without_a_limit_is_refused():
    with pytest.raises(ConfigError, match="skip_window: is read with skip_above alone; got 9"):
        Optimizer(skip_window=9)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run whose wide students diverge at once, and one in which they are like the others."""
    folders = {}
    for name, factor in (("diverging", 1e30), ("whole", 1.0)):
        folders[name] = epath.Path(tmp_path_factory.mktemp(name))
        run = tiny.run(optimizer__relative=f"(1.0, {factor})")
        if factor == 1.0:
            train(run, folders[name])
        else:
            with pytest.warns(UserWarning, match=r"width_00008_[01] has diverged at step 1, its"):
                assert train(run, folders[name]) == 48
    return folders


def test_the_others_go_on_to_the_same_bits(runs):
    found, whole = (metrics.read(runs[name]) for name in ("diverging", "whole"))
    assert found.keys() == whole.keys()
    assert np.isfinite(found["loss"][:, :2]).all()
    for name, values in whole.items():
        if name != "step":
            np.testing.assert_array_equal(found[name][:, :2], values[:, :2], err_msg=name)
    last = {n: verify(f / RETENTION, steps_in(f / RETENTION)[-1]) for n, f in runs.items()}
    group = "width_00002"
    jax.tree.map(np.testing.assert_array_equal, *(own[group] for own in last.values()))


def test_results_of_who_has_diverged_are_missing_and_no_weight_that_is_kept_is_infinite(runs):
    folder = runs["diverging"]
    found, about = metrics.read(folder), read_manifest(folder)
    assert about.status == "finished"
    assert about.halted == {"width_00008_0": 1, "width_00008_1": 1}
    assert read_manifest(runs["whole"]).halted == {}
    assert np.isfinite(found["loss"][0]).all()
    for name, values in found.items():
        assert name == "step" or np.isnan(values[1:, 2:]).all(), name
    for root in (RESUME, RETENTION):
        for step in steps_in(folder / root):
            params = verify(folder / root, step)
            params = params["params"] if root == RESUME else params
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_it_stays_frozen_when_the_run_goes_on(runs, tmp_path):
    changes = {"optimizer__relative": "(1.0, 1e30)"}
    with pytest.warns(UserWarning, match="has diverged at step 1"):
        train(tiny.run(steps=16, **changes), epath.Path(tmp_path))
    with pytest.warns(UserWarning, match="has diverged at step 1"):
        train(tiny.run(**changes), epath.Path(tmp_path))
    assert read_manifest(epath.Path(tmp_path)).halted == read_manifest(runs["diverging"]).halted
    for root in (RETENTION,):
        step = steps_in(tmp_path / root)[-1]
        own, other = (verify(epath.Path(f) / root, step) for f in (tmp_path, runs["diverging"]))
        jax.tree.map(np.testing.assert_array_equal, own, other)


def test_a_study_says_who_has_diverged(tmp_path):
    study = tiny.study(run__optimizer__relative="(1.0, 1e30)", run__steps=16)
    with pytest.warns(UserWarning, match="has diverged"):
        outcome = execute(study, epath.Path(tmp_path))
    assert outcome == (1, {}, False)
    found = gather(study, epath.Path(tmp_path))
    assert found.halted.dims == ("stream", "size", "initialisation")
    assert np.isnan(found.halted.sel(size=2)).all() and (found.halted.sel(size=8) == 1).all()
    assert found.halted.attrs["units"] == "steps"


def test_skipped_steps_are_counted(tmp_path):
    run = tiny.run(optimizer__skip_above=0.5, optimizer__skip_window=4)
    train(run, epath.Path(tmp_path))
    skipped = read_manifest(epath.Path(tmp_path)).skipped
    assert set(skipped) == {f"width_{w:05d}_{i}" for w in (2, 8) for i in range(2)}
    assert all(0 < count < 40 for count in skipped.values())
