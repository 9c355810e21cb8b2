"""Both orders by block against closed forms in float64 and nested derivatives, and in the step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_text
from etils import epath

from rare_retention.instruments.block_effects import FIRST, SECOND, Interference
from rare_retention.instruments.effect import Effect
from rare_retention.instruments.instrument import Moment
from rare_retention.mesh import MeshShape
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh, sharding
from rare_retention.record import metrics
from rare_retention.settings.competition import Competition
from rare_retention.settings.parity import Parity
from rare_retention.settings.regression import Regression
from rare_retention.settings.setting import labels
from rare_retention.settings.traced import traced_of
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.train.loop import train
from rare_retention.train.state import Arguments, Blueprint, create, shardings
from rare_retention.train.step import Step

TASKS = RegressionTasks(inputs=14, count=3, block=4, prior_exponent=1.0)
SETTINGS = {
    "regression": Regression(tasks=TASKS, widths=(5, 2), initialisations=2, watch=(2, 0)),
    "competition": Competition(neurons=(1, 3), initialisations=2, watch=(1, 0)),
    "parity": Parity(tasks=3, bits=6, subset=2, widths=(4, 7), evaluated=16, watch=(-1, 0)),
    # The smaller lacks a layer.
    "text": tiny_text.language(sizes=("2x16x32x2", "1x8x16x2"), watch=(1, 2), neurons=5),
}
BOTH = (Effect(), Interference())


def moment_of(setting, scale=0.05):
    """A step from the initial weights, moved off their symmetries, along an arbitrary update."""
    traced, numbers = traced_of(setting), jax.tree.map(jnp.asarray, setting.numbers(0))
    params = jax.jit(lambda: traced.family.init(0))()
    params = jax.tree.map(lambda leaf: leaf + 0.05 * jnp.sin(3 + 11 * leaf), params)
    updates = jax.tree.map(lambda leaf: scale * jnp.cos(1 + 7 * leaf), params)
    return Moment(traced, numbers, params, {}, updates, lambda function: None)


def measured(moment, tool=None, steps=1):
    """What an instrument reads after some steps at one moment."""
    tool = tool or Interference()

    @jax.jit
    def read(params, updates):
        here = moment._replace(params=params, updates=updates)
        followed = tool.start(moment.traced, params)
        for _ in range(steps):
            followed = tool.follow(followed, here)
        return tool.read(followed, here)

    return jax.device_get(read(moment.params, moment.updates))


def by_hand(weights, update, target):
    """Changes of |D W - A|^2 by updates of W and D in float64: each order on each, and in all."""
    (w, d), (dw, dd) = weights, update
    error, moved = d @ w - target, d @ dw + dd @ w
    whole = np.square((d + dd) @ (w + dw) - target).sum() - np.square(error).sum()
    first = [2 * (error * (d @ dw)).sum(), 2 * (error * (dd @ w)).sum()]
    cross = (error * (dd @ dw)).sum()
    second = [(moved * (d @ dw)).sum() + cross, (moved * (dd @ w)).sum() + cross]
    return np.array([*first, sum(first)]), np.array([*second, sum(second)]), whole


def each_student(moment, watch):
    """Group, student, place of the watched task, closed forms."""
    scale = np.asarray(moment.numbers.scale, np.float64)
    for group, stack in moment.params.items():
        for student in range(2):
            arrays = [
                (np.asarray(tree["encoder"][student], np.float64),
                 np.asarray(tree["decoders"][student], np.float64))
                for tree in (stack, moment.updates[group])
            ]  # fmt: skip
            for place, task in enumerate(watch):
                target = np.zeros((4, 14))
                target[:, 4 * task : 4 * task + 4] = np.diag(scale[task])
                own = [(w, d[task]) for w, d in arrays]
                yield group, student, place, by_hand(*own, target)


def test_blocks_have_the_closed_forms_of_the_regression():
    moment = moment_of(SETTINGS["regression"])
    found = measured(moment)
    for group, student, place, (first, second, _) in each_student(moment, (2, 0)):
        for name, expected in ((FIRST, first), (SECOND, second)):
            values = found[name][group][student, place]
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("block", ["encoder", "decoders"])
def test_both_orders_are_the_change_of_a_quadratic_loss(block):
    """The loss is quadratic in each of its two arrays: large updates leave rounding alone."""
    moment = moment_of(SETTINGS["regression"], scale=2.0)
    updates = {
        group: {name: leaf * float(name == block) for name, leaf in own.items()}
        for group, own in moment.updates.items()
    }
    moment = moment._replace(updates=updates)
    found = measured(moment)
    for group, student, place, (*_, change) in each_student(moment, (2, 0)):
        total = sum(found[name][group][student, place, -1] for name in (FIRST, SECOND))
        assert total == pytest.approx(change, rel=1e-5, abs=1e-4)
        assert abs(found[FIRST][group][student, place, -1] - change) > 0.1 * abs(change)


def one_block(family, tree, name):
    """A tree of one group that is zero but for a block."""
    blocks, back = jax.vjp(family.blocks, tree)
    kept = {
        own: jax.tree.map(lambda leaf, own=own: leaf if own == name else jnp.zeros_like(leaf), part)
        for own, part in blocks.items()
    }
    return back(kept)[0]


def nested(moment, group):
    """<u_b, g_r> and <u_b, H_r u> by two forward derivatives, block -> [2, R, watch]."""
    traced, along = moment.traced, moment.updates

    def loss(params):
        return traced.reference(params, moment.numbers)[group]

    @jax.jit
    def slopes(block):
        only = {name: jax.tree.map(jnp.zeros_like, own) for name, own in along.items()}
        only |= {group: block}

        def slope(params):
            return jax.jvp(loss, (params,), (only,))[1]

        return jnp.stack(jax.jvp(slope, (moment.params,), (along,)))

    family = traced.family
    blocks = list(jax.eval_shape(family.blocks, moment.params[group]))
    return {name: slopes(one_block(family, along[group], name)) for name in blocks}


@pytest.mark.parametrize("name", ["competition", "parity", "text"])
def test_blocks_are_those_of_nested_forward_derivatives(name):
    """And those that a size lacks are NaN."""
    setting = SETTINGS[name]
    moment = moment_of(setting)
    found, names = measured(moment), labels(setting)["block"]
    for group in moment.params:
        orders = np.stack([found[FIRST][group], 2 * found[SECOND][group]])
        size = np.abs(orders[..., -1]).max((1, 2))[:, None, None]
        expected = nested(moment, group)
        for i, block in enumerate(names[:-1]):
            error = (orders[..., i] - expected.get(block, np.nan)) / size
            assert np.isnan(error).all() if block not in expected else np.abs(error).max() < 2e-3
            assert np.isnan(orders[..., i]).all() == (block not in expected)


@pytest.mark.parametrize("name", SETTINGS)
def test_all_weights_are_the_sum_of_blocks_and_to_first_order_what_effect_says(name):
    moment = moment_of(SETTINGS[name])
    found, effect = measured(moment), measured(moment, Effect())["predicted_change"]
    for group, first in found[FIRST].items():
        for values in (first, found[SECOND][group]):
            np.testing.assert_allclose(
                np.nansum(values[..., :-1], -1), values[..., -1], rtol=1e-4, atol=1e-6
            )
        assert first.shape[:2] == effect[group].shape
        np.testing.assert_allclose(first[..., -1], effect[group], rtol=1e-4, atol=1e-6)
        assert np.abs(found[SECOND][group][..., -1]).min() > 0


def test_it_says_what_it_measures():
    quantities = Interference().quantities(SETTINGS["competition"])
    assert set(quantities) == {FIRST, SECOND}
    for quantity in quantities.values():
        assert quantity.dims == ("watch", "block") and quantity.unit == "1"


def test_it_adds_up_from_step_to_step():
    moment = moment_of(SETTINGS["competition"])
    once, thrice = measured(moment), measured(moment, steps=3)
    for a, b in zip(*map(jax.tree.leaves, (once, thrice)), strict=True):
        np.testing.assert_allclose(b, 3 * a, rtol=1e-6)


def test_in_bfloat16_it_is_what_it_is_in_float32_but_for_its_bits():
    shape = {"sizes": ("1x8x16x2",), "watch": (1,)}
    found = [
        measured(moment_of(tiny_text.language(compute=Compute(dtype=dtype), **shape)))
        for dtype in ("float32", "bfloat16")
    ]
    for fine, coarse in zip(*map(jax.tree.leaves, found), strict=True):
        assert coarse.dtype == np.float32
        np.testing.assert_allclose(coarse[..., -1], fine[..., -1], rtol=0.1)


OPTIMIZER = Optimizer(peak=1e-2, schedule="constant", clip=0.5)


STEPS = {
    "regression": (SETTINGS["regression"], MeshShape(student=2), 1),
    "text": (
        tiny_text.language(sizes=("1x8x16x2",), watch=(1,), neurons=5),
        MeshShape(data=2, fsdp=2, model=2),
        2,
    ),
}


@functools.cache
def advanced(name, tools, everywhere=False):
    """State and measures after two steps, on one device in one piece, or as `STEPS` says."""
    setting, shape, accumulate = STEPS[name]
    accumulate = accumulate if everywhere else 1
    own = Blueprint(traced_of(setting), OPTIMIZER, tools, accumulate=accumulate)
    if isinstance(setting, Regression):
        batches = np.random.default_rng(0).integers(0, 3, (2, 8)).astype(np.int32)
    else:
        batches = setting.batches(tiny_text.run(setting).schedule(), 0, range(2), slice(None))
    rates = OPTIMIZER.rates(student.group for student in setting.family.students)
    numbers = Arguments(jax.random.key(3), np.uint32(0), rates, setting.numbers(0))
    mesh = make_mesh(shape if everywhere else MeshShape(data=1))
    with jax.set_mesh(mesh):
        state = jax.device_put(jax.jit(lambda: create(own, 0))(), shardings(own, mesh))
        rows = jax.tree.map(lambda x: jax.device_put(x, sharding(mesh, None, "batch")), batches)
        return jax.device_get(jax.jit(Step(own).advance)(state, numbers, rows, jnp.int32(2)))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_the_same_bits_with_it_and_without(name):
    plain, found = (advanced(name, tools)[0] for tools in ((), BOTH))
    for a, b in zip(*map(jax.tree.leaves, (plain.params, found.params)), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(*map(jax.tree.leaves, (plain.optimizer, found.optimizer)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", STEPS)
def test_on_eight_devices_and_in_pieces_it_measures_the_same(name):
    setting = STEPS[name][0]
    expected, found = (advanced(name, BOTH, everywhere)[1] for everywhere in (False, True))
    for order in (FIRST, SECOND):
        assert found[order].shape[1:] == (len(setting.watch_ids), len(labels(setting)["block"]))
        np.testing.assert_allclose(found[order], expected[order], rtol=1e-3, atol=1e-6)
    whole = found[FIRST][..., -1]
    np.testing.assert_allclose(whole, found["predicted_change"], rtol=1e-3, atol=1e-6)


def test_a_run_records_both_orders_and_has_the_same_identity(tmp_path):
    run = tiny.run(steps=12, measure__every=4, measure__cycles=0, snapshots__cycles=0)
    measure = dataclasses.replace(run.measure, instruments=(Interference(),))
    own = dataclasses.replace(run, measure=measure)
    assert own.identity() == run.identity()
    train(own, folder := epath.Path(tmp_path / "run"))
    found = metrics.read(folder)
    first = found[FIRST]
    assert first.shape == (4, 4, 1, 3)  # states, students, watched tasks, blocks
    assert np.isnan(first[0]).all() and np.isfinite(first[1:]).all()
    np.testing.assert_allclose(first[..., -1], found["predicted_change"], rtol=1e-3, atol=1e-6)
    change = np.diff(found["reference"], axis=0)
    both = (first + found[SECOND])[1:, ..., -1]
    assert np.abs(both - change).max() < 0.1 * np.abs(first[1:, ..., -1] - change).max()
