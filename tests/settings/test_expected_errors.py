"""Bottleneck students on exact inputs, against NumPy in float64 and against sampled batches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from etils import epath

from benchmarks import flops
from rare_retention.errors import ConfigError
from rare_retention.experiment import Run
from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh, sharding
from rare_retention.record import metrics
from rare_retention.record.exposures import read_exposures
from rare_retention.record.manifest import read_manifest
from rare_retention.rules.protection import Protection
from rare_retention.rules.reweighting import Reweighting
from rare_retention.settings.expected_errors import expected_losses
from rare_retention.settings.regression import Regression
from rare_retention.settings.traced import traced_of
from rare_retention.study.axes import Axis
from rare_retention.study.grid import Study, units
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.train.loop import train
from rare_retention.train.parts import gradient, watched_parts
from rare_retention.train.state import Arguments, create, shardings
from rare_retention.train.step import Step

TASKS = RegressionTasks(inputs=14, count=3, block=4, prior_exponent=1.5)
SAMPLED = Regression(tasks=TASKS, widths=(2, 6), initialisations=3, watch=(-1, 0))
SETTING = dataclasses.replace(SAMPLED, gradient="expected")
TRACED, NUMBERS = traced_of(SETTING), jax.tree.map(jnp.asarray, SETTING.numbers(0))
KEY = jax.random.key(11)
DESCENT = Optimizer(method="sgd", schedule="constant", clip=None)
RATE = 0.1


def batch(counts, seed=0):
    """Task of each row for given rows of each task, shuffled."""
    ids = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return np.random.default_rng(seed).permutation(ids)


def dense(stack, weights):
    """Losses [R, K] and gradients of sum_k weights_k ||D_k W - A_k||^2 in float64, by D_k W."""
    encoder, decoders = (np.asarray(stack[n], np.float64) for n in ("encoder", "decoders"))
    maps = np.zeros((3, 4, 14))
    for k in range(3):
        for j in range(4):
            maps[k, j, 4 * k + j] = (j + 1) ** -1.0  # the root of (j + 1)^-2
    error = np.einsum("rkjn,rnd->rkjd", decoders, encoder) - maps
    scaled = 2 * np.asarray(weights)[:, None, None] * error
    return np.asarray(weights) * np.square(error).sum((2, 3)), {
        "encoder": np.einsum("rkjn,rkjd->rnd", decoders, scaled),
        "decoders": np.einsum("rkjd,rnd->rkjn", scaled, encoder),
    }


def close(found, expected):
    for name, leaf in expected.items():
        atol = 1e-6 * max(float(np.abs(leaf).max()), 1e-3)
        np.testing.assert_allclose(found[name], leaf, rtol=1e-5, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def params():
    return jax.jit(TRACED.family.init)(0)


@pytest.mark.parametrize("counts", [(24, 12, 5), (41, 0, 0), (0, 33, 8)])
def test_losses_and_gradients_are_those_of_the_definition(params, counts):
    """In float64, with inputs that belong to no task; a task without rows adds exactly nothing."""
    rows = batch(counts)

    @jax.jit
    def found(p):
        return gradient(lambda p: TRACED.losses(p, rows, KEY, NUMBERS), p)

    losses, grads = found(params)
    for name, stack in params.items():
        expected, expected_grads = dense(stack, np.array(counts) / sum(counts))
        np.testing.assert_allclose(losses[name].by_task, expected, rtol=1e-5)
        assert np.all(np.asarray(losses[name].by_task)[:, np.array(counts) == 0] == 0)
        close(grads[name], expected_grads)


def test_the_gradient_is_the_mean_of_sampled_ones(params):
    """Over 10,000 draws of the inputs of one batch: off by as many standard errors as chance."""
    rows, draws, pieces = batch((24, 12, 5)), 10_000, 20
    drawn = traced_of(SAMPLED)

    @jax.jit
    def sums(keys):
        def one(key):
            return gradient(lambda p: drawn.losses(p, rows, key, NUMBERS), params)[1]

        each = jax.vmap(one)(keys)
        return jax.tree.map(lambda g: (g.sum(0), jnp.square(g).sum(0)), each)

    keys = jax.random.split(KEY, (pieces, draws // pieces))
    found = [jax.tree.map(lambda a: np.asarray(a, np.float64), sums(own)) for own in keys]
    total = jax.tree.map(lambda *a: sum(a), *found)
    _, expected = gradient(lambda p: TRACED.losses(p, rows, KEY, NUMBERS), params)
    away = []
    for name, stack in expected.items():
        for leaf, own in stack.items():
            mean, square = (part / draws for part in total[name][leaf])
            error = np.sqrt((square - mean**2) / draws)
            away.append(((mean - own) / error).ravel())
    away = np.concatenate(away)
    assert len(away) == 3 * 8 * (14 + 12)
    assert np.abs(away).max() < 4.5
    assert 0.9 < np.sqrt(np.mean(away**2)) < 1.1


def test_parts_are_the_gradients_of_the_watched_tasks(params):
    """In the order of `watch`, each at its share of the rows."""
    rows = batch((24, 12, 5))
    found = jax.jit(lambda p: watched_parts(TRACED, p, rows, KEY, NUMBERS))(params)
    for name, stack in params.items():
        for place, (task, count) in enumerate(((2, 5), (0, 24))):
            _, expected = dense(stack, np.eye(3)[task] * count / 41)
            close({leaf: own[place] for leaf, own in found[name].items()}, expected)


@pytest.mark.parametrize(("inputs", "width"), [(80, 48), (70, 16), (64, 33)])
def test_students_of_many_tiles_have_the_same_gradients(inputs, width):
    """Where matrices are transposed in tiles of 16 numbers, and where they cannot be."""
    setting = Regression(
        tasks=RegressionTasks(inputs=inputs, count=4, block=16, prior_exponent=1.0),
        widths=(width,),
        gradient="expected",
    )
    share, scale = np.array([0.5, 0.25, 0.25, 0.0]), np.arange(1, 17) ** -1.0
    (stack,) = jax.jit(setting.family.init)(0).values()
    encoder, decoders = (np.asarray(stack[n][0], np.float64) for n in ("encoder", "decoders"))
    target = np.zeros((4, 16, inputs))
    for k, j in np.ndindex(4, 16):
        target[k, j, 16 * k + j] = scale[j]
    error = decoders @ encoder - target
    weighted = 2 * share[:, None, None] * error
    value, pullback = jax.vjp(
        lambda *own: expected_losses(
            *own, jnp.asarray(share, jnp.float32), jnp.asarray(setting.numbers(0).scale)
        ),
        stack["encoder"][0],
        stack["decoders"][0],
    )
    np.testing.assert_allclose(value, share * np.square(error).sum((1, 2)), rtol=1e-5)
    close(
        dict(zip(("encoder", "decoders"), pullback(jnp.ones(4)), strict=True)),
        {
            "encoder": np.einsum("kjn,kjd->nd", decoders, weighted),
            "decoders": np.einsum("kjd,nd->kjn", weighted, encoder),
        },
    )


def test_what_is_learned_costs_nothing_and_no_less():
    """Rounding does not make a loss negative; gradients vanish."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0].astype(np.float32)
    scale = np.sqrt(RegressionTasks(inputs=8, count=2, block=4).spectra()).astype(np.float32)
    decoders = scale[..., None] * turn.T.reshape(2, 4, 8)
    share = jnp.array([0.75, 0.25])
    value, pullback = jax.vjp(lambda w, d: expected_losses(w, d, share, scale), turn, decoders)
    assert np.all(np.asarray(value) >= 0)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    for leaf in pullback(jnp.ones(2)):
        np.testing.assert_allclose(leaf, 0, atol=1e-6)


def arguments(key=KEY, rule=None):
    rule = rule.numbers if rule else {}
    rates = dict.fromkeys((student.group for student in SETTING.family.students), np.float32(RATE))
    return Arguments(key, np.uint32(0), rates, NUMBERS, rule)


ROWS = np.stack([batch((9, 5, 2), seed) for seed in range(3)])


def test_counts_alone_decide_a_step(params):
    """To the bit: neither the key nor the order of the rows."""
    own = tiny.blueprint(TRACED, Optimizer(peak=RATE))
    run, start = jax.jit(Step(own).run), create(own, 0)
    first = run(start, arguments(), ROWS, jnp.int32(3))
    other = run(start, arguments(jax.random.key(5)), np.sort(ROWS, axis=1), jnp.int32(3))
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    more = run(start, arguments(), np.stack([batch((8, 5, 3))] * 3), jnp.int32(3))
    assert np.any(np.asarray(more.params["width_00002"]["encoder"])
                  != np.asarray(first.params["width_00002"]["encoder"]))  # fmt: skip


@pytest.mark.parametrize("rule", [None, Reweighting(factor=2.5)])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_steps_of_descent_by_hand(rule, accumulate):
    """Under a rule that reads the parts, and in pieces: their mean is the whole batch's."""
    own = tiny.blueprint(TRACED, DESCENT, accumulate=accumulate)._replace(rule=rule)
    state = create(own, 0)
    after = jax.jit(Step(own).run)(state, arguments(), ROWS[:1], jnp.int32(1))
    factors = np.array([1.0, 1.0, 1.0] if rule is None else [2.5, 1.0, 2.5])
    for name, stack in state.params.items():
        _, grads = dense(stack, factors * np.array([9, 5, 2]) / 16)
        close(after.params[name], {n: np.asarray(stack[n]) - RATE * g for n, g in grads.items()})


def test_protection_takes_out_what_harms_the_watched_task():
    """A common step after ten of the rare task: its part along the rare gradient, by hand."""
    rule = Protection(gaps=0, after=1)
    own = tiny.blueprint(TRACED, DESCENT)._replace(rule=rule)
    run = jax.jit(Step(own).run)
    alone, common = np.stack([batch((0, 0, 16))] * 10), batch((12, 4, 0))[None]
    given = arguments(rule=rule)
    before = run(create(own, 0), given, alone, jnp.int32(10))
    after, harmed = run(before, given, common, jnp.int32(1)), 0
    for name, stack in before.params.items():
        _, step = dense(stack, np.array([12, 4, 0]) / 16)
        _, rare = dense(stack, np.array([0, 0, 1]))
        inner = sum(-RATE * (step[n] * rare[n]).sum((1, 2, 3)[: step[n].ndim - 1]) for n in step)
        size = sum(np.square(own).sum((1, 2, 3)[: own.ndim - 1]) for own in rare.values())
        share = np.maximum(inner, 0) / size
        harmed += np.sum(share > 0)
        close(
            after.params[name],
            {
                n: np.asarray(stack[n])
                - RATE * step[n]
                - share.reshape(-1, *[1] * (step[n].ndim - 1)) * rare[n]
                for n in step
            },
        )
    assert harmed


def test_eight_devices_take_the_steps_of_one():
    """Rows over four, students over two; with everything that can be measured."""
    traced = traced_of(dataclasses.replace(SETTING, initialisations=2))
    own = tiny.blueprint(traced, Optimizer(peak=RATE), gradients=True, effect=True)
    alone = jax.jit(Step(own).advance)(create(own, 0), arguments(), ROWS, jnp.int32(3))
    mesh = make_mesh(MeshShape(student=2, data=2, fsdp=2))
    with jax.set_mesh(mesh):
        layout = shardings(own, mesh)
        state = jax.jit(lambda: create(own, 0), out_shardings=layout)()
        rows = jax.device_put(ROWS, sharding(mesh, None, "batch"))
        advance = jax.jit(Step(own).advance, out_shardings=(layout, None))
        found = jax.device_get(advance(state, arguments(), rows, jnp.int32(3)))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def test_a_run_is_shown_what_the_sampled_one_is(tmp_path):
    """The same rows of each task in every batch, bursts and gaps too; another identity."""
    fields = {"steps": 32, "measure__gradients": True, "setting__watch": "(-1, 0)"}
    runs = {kind: tiny.run(setting__gradient=kind, **fields) for kind in ("sampled", "expected")}
    for kind, run in runs.items():
        assert train(run, epath.Path(tmp_path / kind)) == 32
    first, second = (epath.Path(tmp_path / kind) for kind in runs)
    shown, own = read_exposures(first), read_exposures(second)
    assert shown.keys() == own.keys()
    for name, exposures in shown.items():
        np.testing.assert_array_equal(exposures.steps, own[name].steps)
        np.testing.assert_array_equal(exposures.counts, own[name].counts)
    assert read_manifest(first).shown == read_manifest(second).shown
    drawn, exact = metrics.read(first), metrics.read(second)
    assert drawn.keys() == exact.keys()
    np.testing.assert_array_equal(drawn["step"], exact["step"])
    empty = np.isnan(drawn["batch_loss"])
    np.testing.assert_array_equal(np.isnan(exact["batch_loss"]), empty)
    assert empty.any() and not empty.all()
    assert len({run.identity() for run in runs.values()}) == 2


def test_the_sampled_gradient_is_no_part_of_a_recipe():
    """Runs from before there was another keep their fingerprints."""
    assert "gradient" not in SAMPLED.recipe()
    assert SETTING.recipe() == {**SAMPLED.recipe(), "gradient": "expected"}
    assert traced_of(SAMPLED) != traced_of(SETTING)


def test_a_study_may_have_both():
    axis = Axis(field="setting.gradient", values=("sampled", "expected"))
    study = Study(name="noise", question="?", run=Run(setting=SAMPLED), grid=(axis,))
    assert [unit.run.setting.gradient for unit in units(study)] == ["sampled", "expected"]


def test_inputs_that_are_not_drawn_may_be_in_pieces():
    assert Run(setting=SETTING, batch=16, accumulate=2).accumulate == 2
    with pytest.raises(ConfigError, match="accumulate: a regression setting draws its inputs"):
        Run(setting=SAMPLED, batch=16, accumulate=2)


def test_operations_are_those_of_its_products(params):
    """Counted over the program of a training gradient, of each width; rows play no part."""
    for width, name in ((2, "width_00002"), (6, "width_00006")):
        own = {name: jax.tree.map(lambda leaf: leaf[:1], params[name])}
        for rows in (batch((24, 12, 5)), batch((4, 2, 2))):
            counted = flops.count(
                lambda p, rows=rows: gradient(lambda p: TRACED.losses(p, rows, KEY, NUMBERS), p)[1],
                own,
            )
            assert SETTING.family.flops(len(rows))[width] == counted
