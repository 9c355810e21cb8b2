import shutil

import jax
import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.config import ConfigError, override
from rare_retention.errors import UserError
from rare_retention.evidence import states
from rare_retention.record.checkpoints import verify
from rare_retention.record.exposures import read_exposures
from rare_retention.record.manifest import read_manifest
from rare_retention.record.recorder import Recorder
from rare_retention.record.records import RESUME, STATES, steps_in
from rare_retention.study import execute as module
from rare_retention.study.branch import Branch, Change
from rare_retention.study.execute import execute
from rare_retention.study.grid import Study, units
from rare_retention.study.progress import Progress
from rare_retention.study.results import gather
from rare_retention.train.origin import Parent, goes_on
from rare_retention.train.plan import blueprint, check_budget, make_plan, sizes
from rare_retention.train.state import abstract, create

BRANCHES = (
    {"name": "same", "at": 20, "steps": 28},
    {
        "name": "quiet",
        "after_exposure": 2,
        "steps": 10,
        "changes": ({"field": "exposure.left_out", "value": (-1,)},),
    },
    {"name": "same of same", "of": "same", "at": 33, "steps": 15},
    {
        "name": "otherwise",
        "at": 20,
        "steps": 8,
        "changes": (
            {"field": "optimizer.method", "value": "sgd"},
            {"field": "rule.kind", "value": "reweighting"},
            {"field": "measure.every", "value": 2},
        ),
    },
)


def branched(**changes):
    return tiny.study(branches=BRANCHES, **changes)


def named(study):
    return {unit.coordinates["branch"]: unit for unit in units(study)}


def end(workdir, unit):
    """The last checkpoint of a unit, leaf by leaf."""
    folder = workdir / "runs" / unit.name / RESUME
    return jax.tree.leaves(verify(folder, steps_in(folder)[-1]))


def same(workdir, first, second):
    for a, b in zip(end(workdir, first), end(workdir, second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    workdir = epath.Path(tmp_path_factory.mktemp("branches"))
    study = branched()
    assert execute(study, workdir) == (5, {}, False)
    return study, workdir


def test_a_branch_that_changes_nothing_has_the_bits_of_its_parent(done):
    study, workdir = done
    own = named(study)
    same(workdir, own["trunk"], own["same"])
    same(workdir, own["trunk"], own["same of same"])
    results = gather(study, workdir)
    late = results.loss.sel(step=[32, 48])
    for name in ("same", "same of same"):
        each = late.sel(branch=name).dropna("step", how="all")
        assert each.sizes["step"]
        np.testing.assert_array_equal(each, late.sel(branch="trunk", step=each.step))


def test_a_branch_goes_on_from_an_exposure_without_the_task(done):
    study, workdir = done
    own = named(study)["quiet"]
    assert own.run.start == 24 and own.run.steps == 34  # bursts in batches 7, 15, 23
    folder = workdir / "runs" / own.name
    (shown,) = read_exposures(folder).values()
    assert shown.steps.tolist() == [7, 15, 23]
    about = read_manifest(folder)
    rare = np.array(about.shown)
    trunk = named(study)["trunk"].run.schedule().shown(24)
    assert rare[-1] == trunk[-1] and rare.sum() == 34 * 32
    assert about.recipe["turns"] == [{"step": 24, "changed": ["exposure.left_out: [] -> [-1]"]}]


def test_results_have_a_place_for_each_branch(done):
    study, workdir = done
    results = gather(study, workdir)
    assert results["branch"].to_numpy().tolist() == [
        "trunk", "same", "quiet", "same of same", "otherwise"
    ]  # fmt: skip
    turns = results["turn"].isel(stream=0).to_series().dropna().to_dict()
    assert turns == {"same": 20, "quiet": 24, "same of same": 33, "otherwise": 20}
    own = results.loss.sel(branch="otherwise").dropna("step", how="all")
    assert set(range(20, 29, 2)) <= set(own.step.to_numpy())
    alone = states.trunk(results)
    assert "branch" not in alone.coords and 22 not in alone.step
    assert alone.loss.dims == ("stream", "size", "initialisation", "step", "task")


def test_the_first_state_of_a_branch_is_its_parents(done):
    study, workdir = done
    results = gather(study, workdir).loss.isel(stream=0)
    trunk = results.sel(branch="trunk", step=20)
    for name in ("same", "otherwise"):  # of other programs, in which sums may have another order
        np.testing.assert_allclose(results.sel(branch=name, step=20), trunk, rtol=1e-5)


def test_a_branch_under_muon_begins_with_fresh_moments(tmp_path):
    """The weights of its run, no moment, and the learning rate of the step it goes on from."""
    change = {"field": "optimizer.method", "value": "muon"}
    study = tiny.study(
        branches=({"name": "muon", "at": 20, "steps": 8, "changes": (change,)},),
        run__optimizer__weight_decay=0.0,
    )
    workdir = epath.Path(tmp_path)
    assert execute(study, workdir) == (2, {}, False)
    trunk, own = (named(study)[name] for name in ("trunk", "muon"))
    parent = Parent(workdir / "runs" / trunk.name, trunk.run)
    state = parent.restore(20, abstract(blueprint(trunk.run)))
    created = create(blueprint(own.run), 0)
    both = blueprint(trunk.run), blueprint(own.run)
    first = goes_on(state, created, parent.shown(20), *both)
    jax.tree.map(np.testing.assert_array_equal, first.params, state.params)
    for group in first.params:
        inner = first.optimizer[group][1].inner_states
        matrices, rest = (inner[name].inner_state for name in ("muon", "adamw"))
        assert np.all(matrices[-1].count == 20) and np.all(rest[-1].count == 20)  # of the schedules
        for leaf in (*jax.tree.leaves(matrices[0].mu), matrices[0].count, rest[0].count):
            assert not np.any(leaf)
    assert np.isfinite(gather(study, workdir).loss.sel(branch="muon", step=28)).all()


def test_a_limit_that_never_binds_is_none(tmp_path):
    """Without clipping Adam's state stands elsewhere in the chain; its moments go on all the same.

    The limit of a branch that is larger for its first steps is that of the step it goes on from.
    """

    def clipped(name, **fields):
        changes = ({"field": f"optimizer.{own}", "value": value} for own, value in fields.items())
        return {"name": name, "at": 20, "steps": 8, "changes": tuple(changes)}

    branches = (
        clipped("none", clip=None),
        clipped("large", clip=1e8),
        clipped("over", clip=1e8, clip_warmup=20, clip_factor=1e-12),
    )
    study = tiny.study(branches=branches, run__optimizer__clip=1e9)
    workdir = epath.Path(tmp_path)
    assert execute(study, workdir) == (4, {}, False)
    own = named(study)
    params = [
        verify(workdir / "runs" / own[branch["name"]].name / RESUME, 28)["params"]
        for branch in branches
    ]
    for leaf, *others in zip(*map(jax.tree.leaves, params), strict=True):
        for other in others:
            np.testing.assert_allclose(leaf, other, rtol=1e-5, atol=1e-7)


KILLED = override(branched(), {"run.checkpoints.every": 6})


def killed_at(seed):
    """One of the steps at which the branch `same` is measured, drawn."""
    run = named(KILLED)["same"].run
    stops = make_plan(run, run.schedule()).stops
    return int(np.random.default_rng(seed).choice(stops))


def without(done, folder, *names):
    """A copy of the finished study in which some branches were never begun."""
    study, workdir = done
    shutil.copytree(workdir, folder, dirs_exist_ok=True)
    for name in names:
        (folder / "runs" / named(study)[name].name).rmtree()
    return epath.Path(folder)


@pytest.mark.parametrize("seed", range(3))
def test_a_branch_that_is_killed_at_random_goes_on_to_the_same_bits(
    done, tmp_path, monkeypatch, seed
):
    study, workdir = done
    again = without(done, epath.Path(tmp_path), "same", "same of same")
    record, killed = Recorder.record, []

    def kill(self, step, state, measured, *, save):
        record(self, step, state, measured, save=save)
        if "branch=same" in str(self._folder) and step == killed_at(seed) and not killed:
            killed.append(step)
            raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "record", kill)
    with pytest.raises(KeyboardInterrupt):
        execute(KILLED, again)
    assert execute(KILLED, again).finished == 5
    for name in ("same", "same of same"):
        own = named(study)[name]
        for a, b in zip(end(workdir, own), end(again, own), strict=True):
            np.testing.assert_array_equal(a, b)


def trained_again(done, again, study, step):
    """Trains the runs of a study again for the state of a step, to the same bits."""
    with pytest.warns(UserWarning, match=f"step {step} was passed, but its whole state, which a"):
        assert execute(study, again) == (len(units(study)), {}, False)
    trunk = named(study)["trunk"]
    assert step in steps_in(again / "runs" / trunk.name / STATES)
    for a, b in zip(end(done[1], trunk), end(again, trunk), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("at", [20, 32, 48])
def test_branches_of_a_finished_study_train_their_runs_again(done, tmp_path, at):
    """Also from a step that has a checkpoint, and from the last."""
    again = epath.Path(tmp_path)
    assert execute(tiny.study(), again).finished == 1
    study = tiny.study(branches=({"name": "late", "at": at, "steps": 4},))
    trained_again(done, again, study, at)


@pytest.mark.parametrize("checkpoints", [[32, 48], [48]], ids=["one before", "none before"])
def test_a_run_that_was_killed_between_its_two_stores_keeps_its_state(done, tmp_path, checkpoints):
    """Its checkpoint of the last step was written, and the whole state of that step was not."""
    again = epath.Path(tmp_path)
    study = tiny.study(branches=({"name": "late", "at": 48, "steps": 4},))
    assert execute(study, again).finished == 2
    (again / "runs" / named(study)["late"].name).rmtree()
    folder = again / "runs" / named(study)["trunk"].name
    (folder / STATES / "48").rmtree()
    for step in set(steps_in(folder / RESUME)) - set(checkpoints):
        (folder / RESUME / str(step)).rmtree()
    trained_again(done, again, study, 48)


def test_states_that_no_branch_needs_are_dropped_on_request(done, tmp_path):
    study, workdir = done
    trunk, same = (named(study)[name].name for name in ("trunk", "same"))
    assert steps_in(workdir / "runs" / trunk / STATES) == [20, 24]
    assert steps_in(workdir / "runs" / same / STATES) == [33]
    own = epath.Path(tmp_path)
    study = override(study, {"drop_states": True, "run.snapshots.states": (30,)})
    assert execute(study, own) == (5, {}, False)
    assert steps_in(own / "runs" / trunk / STATES) == [30]
    assert steps_in(own / "runs" / same / STATES) == []
    assert all(map(Progress(study, own).is_finished, units(study)))


def test_a_branch_alone_wants_its_run(tmp_path):
    study = branched()
    with pytest.raises(UserError, match="no whole state of step 20; train it first"):
        execute(study, epath.Path(tmp_path), only=named(study)["same"].name)


def test_a_branch_of_a_failed_run_fails_with_it(tmp_path, monkeypatch):
    def diverge(*_):
        raise FloatingPointError("the loss is not finite")

    monkeypatch.setattr(module, "train", diverge)
    outcome = execute(branched(), epath.Path(tmp_path))
    assert set(outcome.failed) == {unit.name for unit in units(branched())}
    assert outcome.failed["stream=0,branch=same"] == "stream=0, which it goes on from, has failed"


def test_units_say_what_they_go_on_from(done):
    study, workdir = done
    lines = list(Progress(study, workdir).lines())
    assert lines[2] == (
        "stream=0,branch=quiet  finished  [from step 24 of stream=0; exposure.left_out=(-1,)]"
    )


def test_whole_states_count_in_the_budget():
    run = named(branched(run__snapshots__cycles=0))["trunk"].run
    plan, size = make_plan(run, run.schedule()), sizes(run)
    assert plan.states == (20, 24) and {20, 24} <= set(plan.stops)
    assert check_budget(run, size, plan) == 2 * size.state_bytes
    with pytest.raises(ConfigError, match=r"2 whole states of .* or branches"):
        check_budget(run, size._replace(state_bytes=2**30), plan)


def test_language_models_branch_each_size_apart(tmp_path):
    branches = (
        Branch(name="same", at=3, steps=5),
        Branch(
            name="quiet",
            at=6,
            steps=6,
            changes=(
                Change(field="exposure.left_out", value=(-1,)),
                Change(field="rule.kind", value="protection"),
                Change(field="optimizer.peak", value=1e-3),
            ),
        ),
    )
    study = Study(name="text", run=tiny_text.run(), apart=True, branches=branches)
    workdir = epath.Path(tmp_path)
    outcome = execute(study, workdir)
    assert not outcome.failed and outcome.finished == 6
    for trunk, own, quiet in zip(*[iter(units(study))] * 3, strict=True):
        same(workdir, trunk, own)
        state = verify(workdir / "runs" / quiet.name / RESUME, 12)
        rare = list(read_exposures(workdir / "runs" / quiet.name).values())[-1].steps
        assert state["rule"]["since"].tolist() == [11 - rare[-1]]
    results = gather(study, workdir)
    assert results.turn.dims == ("stream", "branch") and results.sizes["size"] == 2
    assert np.isfinite(results.loss.sel(branch="quiet", step=12)).all()
