"""Compared gradients against separate backward passes, and that comparing changes nothing."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_text
import xarray as xr
from tiny import blueprint, by_task

from rare_retention.evidence import gradients as evidence
from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh, sharding
from rare_retention.settings.regression import Regression
from rare_retention.settings.setting import labels
from rare_retention.settings.traced import traced_of
from rare_retention.tasks import Comparison, Recall
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.train.state import Arguments, State, create, shardings
from rare_retention.train.step import Step

KEY = jax.random.key(3)
OPTIMIZER = Optimizer(peak=1e-2, schedule="constant", clip=0.5)

SETTINGS = {
    "regression": Regression(
        tasks=RegressionTasks(inputs=14, count=3, block=4, prior_exponent=1.0),
        widths=(5, 2),
        initialisations=2,
        watch=(2, 0),
    ),
    # Two sizes, of which one lacks a layer; one watched task, since inner products, and with them
    # the time to compile, grow with the square.
    "text": tiny_text.language(sizes=("2x16x32x2", "1x8x16x2"), watch=(2,), neurons=5),
    # Of one small model, for the ways of taking a step: compiling each takes a while.
    "small text": tiny_text.language(sizes=("1x8x16x2",), watch=(1,), neurons=5),
    "whole sequences": tiny_text.language(
        sizes=("1x8x16x2",),
        tasks=(Comparison(per_token=1 / 8, symbols=9), Recall(per_token=1 / 16, symbols=6)),
        per_sequence=4,  # of four tokens: all 16
        watch=(2, 1),
    ),
}


class Case(NamedTuple):
    """A setting, where it starts, and what follows from separate backward passes."""

    setting: Any
    start: State
    batches: Any
    after: State  # after two steps that compare nothing
    vectors: dict[str, Any]  # the vectors that are compared in the second step


def prepared(name):
    """A setting, its first state and three batches of eight rows."""
    setting = SETTINGS[name]
    state = jax.jit(lambda: create(blueprint(traced_of(setting), OPTIMIZER), 0))()
    if name == "regression":
        rows = np.random.default_rng(0).integers(0, 3, (3, 8)).astype(np.int32)
        return setting, state, rows
    schedule = tiny_text.run(setting).schedule()
    return setting, state, setting.batches(schedule, 0, range(3), slice(None))


def arguments(setting):
    rates = OPTIMIZER.rates(student.group for student in setting.family.students)
    return Arguments(KEY, np.uint32(0), rates, setting.numbers(0))


def placed(setting, state, batches, mesh):
    """The same on the devices of a mesh."""
    return (
        jax.device_put(state, shardings(blueprint(traced_of(setting), OPTIMIZER), mesh)),
        jax.tree.map(lambda leaf: jax.device_put(leaf, sharding(mesh, None, "batch")), batches),
    )


ONE_DEVICE = MeshShape(data=1)


def advanced(case, shape=ONE_DEVICE, accumulate=1):
    """State and measures after two batches, on a mesh."""
    setting, mesh = case.setting, make_mesh(shape)
    step = Step(
        blueprint(
            traced_of(setting), OPTIMIZER, gradients=True, effect=False, accumulate=accumulate
        )
    )
    with jax.set_mesh(mesh):
        state, batches = placed(setting, case.start, case.batches, mesh)
        own = arguments(setting)
        return jax.device_get(jax.jit(step.advance)(state, own, batches, jnp.int32(2)))


@functools.cache
def made(name):
    """A setting with its states and the vectors that are compared, by separate backward passes."""
    setting, start, batches = prepared(name)
    traced, own = traced_of(setting), arguments(setting)
    mesh = make_mesh(ONE_DEVICE)
    run = jax.jit(Step(blueprint(traced, OPTIMIZER, gradients=False, effect=False)).run)
    with jax.set_mesh(mesh):
        state, rows = placed(setting, start, batches, mesh)
        before, after = (jax.device_get(run(state, own, rows, jnp.int32(t))) for t in (1, 2))
    numbers = jax.tree.map(jnp.asarray, own.numbers)
    batch, key = jax.tree.map(lambda leaf: leaf[1], batches), jax.random.fold_in(KEY, 1)
    tasks, watch = len(setting.task_names), setting.watch_ids

    @jax.jit
    def batch_part(weights):
        def total(p):
            losses = by_task(traced)(p, batch, key, numbers)
            return sum((loss * weights).sum() for loss in losses.values())

        return jax.grad(total)(before.params)

    @jax.jit
    def reference(weights):
        def total(p):
            losses = traced.reference(p, numbers)
            return sum((loss * weights).sum() for loss in losses.values())

        return jax.grad(total)(before.params)

    one = np.eye(tasks, dtype=np.float32)
    others = 1 - one[list(watch)].sum(0)
    found = [batch_part(jnp.asarray(w)[None]) for w in [*one[list(watch)], others]]
    found += [reference(jnp.asarray(w)[None]) for w in np.eye(len(watch), dtype=np.float32)]
    found.append(jax.tree.map(jnp.subtract, after.params, before.params))
    vectors = {
        group: jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float64), *own)
        for group, *own in zip(found[0], *(v.values() for v in found), strict=True)
    }
    return Case(setting, start, batches, after, vectors)


def flat(tree):
    """[R, size] of a tree of leaves [R, ...], in float64."""
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(tree)]
    return np.concatenate([x.reshape(x.shape[0], -1) for x in leaves], -1)


def check(setting, measured, vectors):
    """Norms within 1e-5 of themselves and cosines within 1e-5, on every block of every student."""
    traced, expected = traced_of(setting), []
    for group in vectors:
        count = jax.tree.leaves(vectors[group])[0].shape[0]
        apart = [
            jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i]), vectors[group])
            for i in range(count)
        ]
        rates = setting.frequencies[list(setting.watch_ids)]
        reference = apart[len(rates) + 1 + int(rates.argmin())]
        blocks = [
            {**traced.family.blocks(v), **traced.family.selections(v, reference), "all": v}
            for v in apart
        ]
        grams = {}
        for name in blocks[0]:
            rows = np.stack([flat(block[name]) for block in blocks])
            grams[name] = np.einsum("prx,qrx->rpq", rows, rows)
        missing = np.full_like(grams["all"], np.nan)
        expected.append(
            np.stack([grams.get(name, missing) for name in labels(setting)["block"]], 1)
        )
    expected = np.concatenate(expected)
    found = measured["gram"].astype(np.float64)
    assert found.shape == expected.shape
    assert labels(setting)["vector"][-1] == evidence.UPDATE
    norms = [np.sqrt(np.diagonal(g, axis1=-2, axis2=-1)) for g in (found, expected)]
    # The update was taken from rounded weights: what float32 loses of them is not its error.
    np.testing.assert_allclose(norms[0][..., :-1], norms[1][..., :-1], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(norms[0][..., -1], norms[1][..., -1], rtol=1e-3)
    cosines = [
        g / np.where(n > 1e-9, n, np.nan)[..., None] / np.where(n > 1e-9, n, np.nan)[..., None, :]
        for g, n in zip((found, expected), norms, strict=True)
    ]
    np.testing.assert_allclose(
        cosines[0][..., :-1, :-1], cosines[1][..., :-1, :-1], atol=1e-5, rtol=0
    )
    np.testing.assert_allclose(cosines[0], cosines[1], atol=1e-3, rtol=0)


@functools.cache
def compared(name):
    """State and measures after the same two steps, compared, in one piece on one device."""
    return advanced(made(name))


@pytest.mark.parametrize("name", ["regression", "text", "whole sequences"])
def test_fast_gradients_are_separate_backward_passes(name):
    check(made(name).setting, compared(name)[1], made(name).vectors)


@pytest.mark.parametrize("name", ["regression", "text", "whole sequences"])
def test_comparing_does_not_change_the_update(name):
    """The same bits with and without."""
    states = made(name).after, compared(name)[0]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "shape", "accumulate"),
    [
        ("regression", MeshShape(student=2), 1),
        ("small text", MeshShape(data=2, fsdp=2, model=2), 2),
    ],
)
def test_and_on_eight_devices(name, shape, accumulate):
    """Rows, weights and heads cut; the batch of text in two pieces of four rows."""
    case = made(name)
    check(case.setting, advanced(case, shape, accumulate)[1], case.vectors)


def test_cosines_of_sums_follow_from_inner_products():
    """g = g_t + g_nt against vectors in the plane, by hand."""
    names = evidence.names(("a", "b"))
    assert names == ("batch a", "batch b", "batch others", "reference a", "reference b", "update")
    vectors = np.array([[1, 0], [0, 2], [-1, 1], [0, 1], [1, 0], [-1, -3.0]])
    gram = xr.DataArray(vectors @ vectors.T, {"vector": list(names), "other": list(names)})
    whole, part = evidence.whole(gram), evidence.injected(gram)
    assert set(part) == {"batch a", "batch b"}
    reference = {evidence.reference_of("a"): 1.0}
    assert float(evidence.norm(gram, whole)) == pytest.approx(3)  # (0, 3)
    assert float(evidence.cosine(gram, whole, reference)) == pytest.approx(1)
    assert float(evidence.cosine(gram, part, reference)) == pytest.approx(2 / 5**0.5)
    rest = {evidence.OTHERS: 1.0}
    assert float(evidence.cosine(gram, rest, reference)) == pytest.approx(1 / 2**0.5)
    assert float(evidence.inner(gram, {evidence.UPDATE: 1.0}, reference)) == pytest.approx(-3)
    with pytest.raises(ValueError, match="got reference c"):
        evidence.norm(gram, {"reference c": 1.0})
