"""Protection of a task in its gaps: the projection by hand, and what a student keeps by it."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import tiny_text
from tiny import blueprint

from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh, sharding
from rare_retention.rules.protection import Protection
from rare_retention.rules.rule import Phase, Seen
from rare_retention.settings.competition import Competition
from rare_retention.settings.regression import Regression
from rare_retention.settings.traced import traced_of
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.train.state import Arguments, create, shardings
from rare_retention.train.step import Step

COMPETITION = Competition(neurons=(1, 3), initialisations=2, watch=(1, 0))


def seen(rule, params, since):
    """A step of which a rule is told how long ago the first watched task was shown."""
    phase = Phase(jnp.array([since == 0, True]), jnp.array([since, 0]))
    numbers = COMPETITION.numbers(0)
    return Seen(traced_of(COMPETITION), numbers, params, phase, {}, lambda f: None, rule.numbers)


@functools.cache
def made():
    params = COMPETITION.family.init(0)
    keys = jax.random.split(jax.random.key(1), len(params))
    updates = {
        name: {"angle": 0.1 * jax.random.normal(key, params[name]["angle"].shape)}
        for name, key in zip(params, keys, strict=True)
    }
    return params, updates


@pytest.mark.parametrize("removed", ["harm", "component"])
@pytest.mark.parametrize("place", [0, 1])
def test_harm_is_taken_out_and_nothing_else(place, removed):
    """Each student by itself: in float64 the rest is orthogonal to g, or what it was.

    Where the component is taken out it is orthogonal also in students that were helped.
    """
    params, updates = made()
    rule = Protection(after=3, along=place, removed=removed)
    found = rule.update(updates, seen(rule, params, 3))

    def loss(params):
        each = traced_of(COMPETITION).reference(params, COMPETITION.numbers(0))
        return sum(own[:, place].sum() for own in each.values())

    gradient = jax.grad(loss)(params)
    harmed = 0
    for group in params:
        for u, g, new in zip(
            *(np.asarray(tree[group]["angle"], np.float64) for tree in (updates, gradient, found)),
            strict=True,
        ):
            share = (u @ g if removed == "component" else max(u @ g, 0)) / (g @ g)
            np.testing.assert_allclose(new, u - share * g, atol=1e-6)
            assert (abs(new @ g) if removed == "component" else new @ g) <= 1e-6
            harmed += u @ g > 1e-3
    assert 0 < harmed < 4


def test_what_is_taken_out_is_part_of_a_run_and_what_was_there_before_keeps_its_identity():
    harm, component = (Protection(removed=removed) for removed in ("harm", "component"))
    old, new = (
        tiny.run(rule=json.dumps({"kind": "protection", "removed": removed})).recipe()["rule"]
        for removed in ("harm", "component")
    )
    assert "removed" not in old and new == old | {"removed": "component"}
    assert harm.form == component.form  # one program serves both


@pytest.mark.parametrize(("since", "protects"), [(-1, False), (0, False), (2, False), (3, True)])
def test_only_gaps_are_protected_and_only_from_some_steps_on(since, protects):
    params, updates = made()
    rule = Protection(after=3)
    found = rule.update(updates, seen(rule, params, since))
    same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), updates, found)
    assert jax.tree.all(same) != protects


TASKS = RegressionTasks(
    inputs=96, count=3, block=32, prior=(0.96, 0.02, 0.02), spectrum_exponents=(6.0, 1.5)
)
SETTING = Regression(tasks=TASKS, widths=(18,), initialisations=2, watch=(1, 2))
ADAMW = Optimizer(peak=5e-3, schedule="constant")
EVEN, GAP, ROWS = 1200, 300, 128


def step(rule):
    own = blueprint(traced_of(SETTING), ADAMW)._replace(rule=rule)
    return own, jax.jit(Step(own).run)


def signal(state):
    """Captured share of the second task, of each student."""
    probe = jax.jit(traced_of(SETTING).probe)(state.params, SETTING.numbers(0))
    return np.asarray(probe["width_00018"]["signal"])[:, 1]


@pytest.fixture(scope="module")
def learned():
    """Students that have learned the second task from batches that all hold it; not the third."""
    rule = Protection()
    own, run = step(rule)
    rates = {"width_00018": np.float32(ADAMW.peak)}
    numbers = SETTING.numbers(0)
    given = Arguments(jax.random.key(0), np.uint32(0), rates, numbers, rule.numbers)
    rows = jnp.asarray(np.tile(np.arange(ROWS) >= ROWS - 4, (100, 1)).astype(np.int32))
    state = create(own, 0)
    for _ in range(EVEN // 100):
        state = run(state, given, rows, jnp.int32(100))
    return given, state


def after_a_gap(learned, rule):
    given, state = learned
    _, run = step(rule)
    if rule is None:
        state = state._replace(rule={})
    given = given._replace(rule=rule.numbers if rule else {})
    return signal(run(state, given, jnp.zeros((GAP, ROWS), jnp.int32), jnp.int32(GAP)))


def test_a_protected_student_keeps_what_another_forgets(learned):
    """At least 0.7 through a gap that leaves less than a quarter; the control changes nothing.

    The control is the same rule along the gradient of a task that was never shown.
    """
    before = signal(learned[1])
    assert (before > 0.8).all()
    bare, kept, control = (
        after_a_gap(learned, rule) / before
        for rule in (None, Protection(after=0), Protection(after=0, along=1))
    )
    assert (bare < 0.25).all()
    assert (kept > 0.7).all()
    assert np.abs(control - bare).max() < 0.03


TEXT = tiny_text.language(sizes=("1x8x16x2",), watch=(1,))
SMALL = Regression(
    tasks=RegressionTasks(inputs=14, count=3, block=4, prior_exponent=1.0),
    widths=(5,),
    initialisations=2,
    watch=(2, 0),
    gradient="expected",  # since a batch whose inputs are drawn is never cut
)
STEPS = 8
DESCENT = Optimizer(method="sgd", peak=0.5, schedule="constant")


def rows_of(setting):
    """Batches that hold the watched task in the first and the fifth, [STEPS, ...]."""
    if setting is SMALL:
        rows = np.random.default_rng(0).integers(0, 2, (STEPS, 16)).astype(np.int32)
        rows[::4, ::4] = 2
        return rows
    schedule = tiny_text.run(
        TEXT, exposure__placement="burst", exposure__gap=4, exposure__withheld=(1,)
    ).schedule()
    return TEXT.batches(schedule, 0, range(3, 3 + STEPS), slice(None))


@functools.cache
def continued(setting, rule, accumulate, **shape):
    """The state some steps behind an exposure, trained on a mesh."""
    own = blueprint(traced_of(setting), DESCENT, accumulate=accumulate)._replace(rule=rule)
    mesh = make_mesh(MeshShape(**shape))
    with jax.set_mesh(mesh), jax.threefry_partitionable(True):
        layout = shardings(own, mesh)
        state = jax.jit(lambda: create(own, 0), out_shardings=layout)()
        rates = dict.fromkeys(state.params, np.float32(DESCENT.peak))
        numbers = setting.numbers(0)
        given = Arguments(
            jax.random.key(0), np.uint32(0), rates, numbers, rule.numbers if rule else {}
        )
        rows = jax.tree.map(
            lambda leaf: jax.device_put(leaf, sharding(mesh, None, "batch")), rows_of(setting)
        )
        run = jax.jit(Step(own).run, out_shardings=layout)
        return jax.device_get(run(state, given, rows, jnp.int32(STEPS)))


@pytest.mark.parametrize(
    ("setting", "accumulate", "shape"),
    [
        (SMALL, 1, {"data": 8}),
        (SMALL, 2, {"student": 2, "data": 4}),
        (TEXT, 2, {"data": 2, "fsdp": 2, "model": 2}),
        (TEXT, 1, {"data": 2, "fsdp": 4}),
        (TEXT, 2, {"data": 4, "model": 2}),
    ],
    ids=lambda own: getattr(own, "kind", None) or str(own),
)
def test_protection_is_the_same_under_every_mesh_and_in_pieces(setting, accumulate, shape):
    """As on one device in one piece, where it makes a difference that is far above rounding.

    By plain descent: in so few steps a momentum goes on learning, and there is no harm to undo.
    """
    one, other = (
        continued(setting, Protection(after=0), pieces, **own)
        for pieces, own in ((1, {"data": 1}), (accumulate, shape))
    )
    bare = continued(setting, None, 1, data=1)
    assert one.rule["since"][0] == other.rule["since"][0] == 3
    furthest = 0.0
    for a, b, c in zip(*(jax.tree.leaves(own.params) for own in (one, other, bare)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
        furthest = max(furthest, float(np.abs(a - c).max()))
    assert furthest > 1e-3
