"""The compiled step: chunks, measurements, first-order effects, and meshes of eight devices."""

import dataclasses
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_text
from tiny import blueprint

from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh, sharding
from rare_retention.settings.competition import Competition
from rare_retention.settings.regression import Regression
from rare_retention.settings.traced import traced_of
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.train.state import Arguments, create, shardings
from rare_retention.train.step import Step, step_quantities
from rare_retention.train.updates import transformation

TASKS = RegressionTasks(inputs=14, count=3, block=4, prior_exponent=1.0)
SETTING = Regression(tasks=TASKS, widths=(5,), initialisations=2, watch=(2, 0))
TRACED = traced_of(SETTING)
ADAMW = Optimizer(peak=1e-2, timescale=50.0)
DESCENT = Optimizer(method="sgd", schedule="constant", clip=None)
FULL = blueprint(TRACED, ADAMW, gradients=True, effect=True)
KEY = jax.random.key(3)
BATCH = 16


ROWS = np.random.default_rng(0).choice(3, (7, BATCH), p=TASKS.frequencies()).astype(np.int32)


def arguments(setting, rate=ADAMW.peak, key=KEY):
    """Numbers of a run with one rate for all students."""
    rates = dict.fromkeys((student.group for student in setting.family.students), np.float32(rate))
    return Arguments(key, np.uint32(0), rates, setting.numbers(0))


OWN = arguments(SETTING)


@pytest.fixture(scope="module")
def start():
    return jax.jit(lambda: create(FULL, 0))()


@pytest.fixture(scope="module")
def advance():
    """The compiled step with every measurement."""
    return jax.jit(Step(FULL).advance)


def close(a, b, rtol=1e-4, atol=1e-6):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def test_a_chunk_is_its_steps_one_by_one(start, advance):
    """The same state and measures, and the effects of all its updates added up."""
    together, measured = advance(start, OWN, ROWS, jnp.int32(5))
    state, effects = start, []
    for t in range(5):
        state, alone = advance(state, OWN, np.roll(ROWS, -t, axis=0), jnp.int32(1))
        effects.append(np.asarray(alone["predicted_change"], np.float64))
    assert int(together.step) == int(state.step) == 5
    close(together, state, rtol=1e-5)
    expected = {**alone, "predicted_change": np.sum(effects, axis=0)}
    assert measured.keys() == expected.keys()
    for name, values in measured.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_rows_behind_the_chunk_are_ignored(start, advance):
    """A buffer may be longer than the chunk."""
    expected = advance(start, OWN, ROWS, jnp.int32(3))
    found = advance(start, OWN, np.where(np.arange(7)[:, None] < 3, ROWS, 0), jnp.int32(3))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(x, y)


def test_measuring_does_not_change_the_update(start, advance):
    """Bit-identical states whatever is measured, in the middle of a chunk and at its end."""
    step = Step(blueprint(TRACED, ADAMW, gradients=False, effect=False))
    plain, _ = jax.jit(step.advance)(start._replace(followed={}), OWN, ROWS, jnp.int32(4))
    full, _ = advance(start, OWN, ROWS, jnp.int32(4))
    full = full._replace(followed={})
    for x, y in zip(jax.tree.leaves(plain), jax.tree.leaves(full), strict=True):
        np.testing.assert_array_equal(x, y)


def test_batches_are_those_of_the_step_and_the_key(start, advance):
    """Step t trains on the losses at fold_in(key, t), before its update."""
    once, first = advance(start, OWN, ROWS, jnp.int32(1))
    _, second = advance(start, OWN, ROWS, jnp.int32(2))
    losses = jax.jit(TRACED.losses)
    for t, params, measured in ((0, start.params, first), (1, once.params, second)):
        split = losses(params, ROWS[t], jax.random.fold_in(KEY, t), OWN.numbers)
        expected = split["width_00005"].by_task.sum(1)
        np.testing.assert_allclose(measured["train_loss"], expected, rtol=1e-5)
        share = np.bincount(ROWS[t], minlength=3) / BATCH
        by_task = np.asarray(split["width_00005"].by_task) / np.where(share, share, np.nan)
        np.testing.assert_allclose(measured["batch_loss"], by_task, rtol=1e-5)
    _, other = advance(start, OWN._replace(key=jax.random.key(4)), ROWS, jnp.int32(1))
    assert np.all(other["train_loss"] != first["train_loss"])


def test_measures_are_those_of_the_state_afterwards(start, advance):
    """Population values of the new weights; all that is promised, in the shapes promised."""
    state, measured = advance(start, OWN, ROWS, jnp.int32(3))
    probe = jax.jit(TRACED.probe)(state.params, OWN.numbers)["width_00005"]
    for name, values in probe.items():
        np.testing.assert_allclose(measured[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    promised = SETTING.objective.quantities | step_quantities(SETTING)
    for tool in FULL.instruments:
        promised |= tool.quantities(SETTING)
    assert measured.keys() == promised.keys() | {"halted"}
    sizes = {"watch": 2, "task": 3, "block": 3, "vector": 6, "other": 6}
    for name, quantity in promised.items():
        assert measured[name].shape == (2, *(sizes[d] for d in quantity.dims)), name


def test_students_of_all_groups_are_joined_in_order():
    """Every measure of student s is in place s of `students`, whatever its group."""
    setting = Competition(neurons=(1, 3, 2), initialisations=2)
    traced, own = traced_of(setting), arguments(setting, 0.01)
    state = create(blueprint(traced, DESCENT, effect=True), 0)
    step = Step(blueprint(traced, DESCENT, gradients=True, effect=True))
    task = jnp.array([[0, 1, 0, 0]], jnp.int32)
    after, measured = jax.jit(step.advance)(state, own, task, jnp.int32(1))
    before, single = (traced.probe(s.params, own.numbers) for s in (state, after))
    for s, student in enumerate(setting.family.students):
        i = student.initialisation
        loss = np.asarray(before[student.group]["loss"][i])
        share = loss @ np.array([0.75, 0.25])
        np.testing.assert_allclose(measured["train_loss"][s], share, rtol=1e-5)
        loss = single[student.group]["loss"][i]
        np.testing.assert_allclose(measured["loss"][s], loss, rtol=1e-5)
        np.testing.assert_allclose(measured["reference"][s], loss[1:], rtol=1e-5)
        angle = np.asarray(measured["angle"][s])
        assert np.isfinite(angle).sum() == student.width
        change = loss[1] - before[student.group]["loss"][i][1]
        np.testing.assert_allclose(measured["predicted_change"][s], [change], atol=5e-3)


def test_a_call_may_measure_nothing(start, advance):
    """Its state goes on to the same bits, and carries the first-order effects with it."""
    step = Step(FULL)
    half = jax.jit(step.run)(start, OWN, ROWS, jnp.int32(3))
    assert np.all(np.asarray(half.followed["effect"]["width_00005"]) != 0)
    found = advance(half, OWN, np.roll(ROWS, -3, axis=0), jnp.int32(2))
    expected = advance(start, OWN, ROWS, jnp.int32(5))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(x, y)


def by_hand(traced, optimizer):
    """The step of a run without a rule, a measurement or a guard, written out without `Step`."""

    def losses(params, rows, key, numbers):
        split = traced.losses(params, rows, key, numbers)
        sums = [part.sum() for own in split.values() for part in (own.by_task, *own.apart.values())]
        return jnp.stack(sums).sum()

    def one(state, own, rows):
        step, params, moments = state
        key = jax.random.fold_in(own.key, step)
        grads = jax.grad(losses)(params, rows, key, own.numbers)
        updates, after = {}, {}
        for name, stack in params.items():
            update = transformation(optimizer.form, own.rates[name], traced.family.matrix).update
            with jax.numpy_dtype_promotion("standard"):
                updates[name], after[name] = jax.vmap(update)(grads[name], moments[name], stack)
        return step + 1, optax.apply_updates(params, updates), after

    def run(state, own, batches, count):
        def plain(i, state):
            return one(state, own, jax.tree.map(lambda leaf: leaf[i], batches))

        return jax.lax.fori_loop(0, count, plain, state)

    return run


def operations(lowered):
    """How often each product or draw stands in a program, and the types of its operands."""
    lines = re.sub(r"loc\(.*?\)|[%@#][\w:#]+", "", lowered.as_text()).splitlines()
    costly = re.compile(
        r"stablehlo\.(dot_general|convolution|rng\w*|exponential|tanh|shift\w*|xor) "
    )
    return Counter(line.strip() for line in lines if costly.search(line))


def ready(setting, batches, optimizer):
    """What a step without a rule takes, and what the one by hand does."""
    own = blueprint(traced_of(setting), optimizer)
    state = jax.jit(lambda: create(own, 0))()
    assert state.rule == {} and state.followed == {}
    rest = arguments(setting), batches, jnp.int32(len(jax.tree.leaves(batches)[0]))
    plain = jax.jit(Step(own).run).lower(state, *rest)
    bare = state.step, state.params, state.optimizer
    hand = jax.jit(by_hand(traced_of(setting), optimizer)).lower(bare, *rest)
    return plain, hand, (state, *rest), (bare, *rest)


def test_without_a_rule_a_step_is_gradient_update_and_a_guard_that_asks_for_two_numbers():
    """The same products and draws, a few operations a weight more, and in the end the same bits."""
    plain, hand, given, by_hand_given = ready(SETTING, ROWS, ADAMW)
    assert operations(plain) == operations(hand) and len(operations(hand)) > 5
    plain, hand = plain.compile(), hand.compile()
    weights = sum(leaf.size for leaf in jax.tree.leaves(given[0].params))
    more = plain.cost_analysis()["flops"] - hand.cost_analysis()["flops"]
    assert 0 <= more <= 20 * weights  # against 6 a weight and row: nothing, in a batch
    found, expected = plain(*given), hand(*by_hand_given)
    leaves = jax.tree.leaves(found[:3]), jax.tree.leaves(expected)
    assert len(leaves[0]) == len(leaves[1]) and expected[0] == 7
    for a, b in zip(*leaves, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_rule_a_language_step_has_the_products_of_gradient_and_update(text_batches):
    plain, hand, *_ = ready(TEXT, text_batches, ADAMW)
    assert operations(plain) == operations(hand)


def test_pieces_of_a_batch_add_up_to_it():
    """Losses, gradients by task and the state of an accumulated step are those of a whole one."""
    setting = Competition(neurons=(1, 2))
    traced, own = traced_of(setting), arguments(setting, 0.1)
    state = create(blueprint(traced, DESCENT, effect=True), 0)
    rows = np.random.default_rng(1).integers(0, 2, (2, 16)).astype(np.int32)
    found = []
    for accumulate in (1, 4):
        step = Step(blueprint(traced, DESCENT, gradients=True, effect=True, accumulate=accumulate))
        mesh = make_mesh(MeshShape(data=4))
        with jax.set_mesh(mesh):
            batches = jax.device_put(rows, sharding(mesh, None, "batch"))
            found.append(jax.device_get(jax.jit(step.advance)(state, own, batches, jnp.int32(2))))
    close(*found, rtol=1e-5)


def test_predicted_change_is_the_change_to_first_order(start):
    """Its error falls with the square of the rate, on every student and watched task."""
    params = start.params
    before = np.asarray(TRACED.reference(params, OWN.numbers)["width_00005"])
    advance = jax.jit(Step(blueprint(TRACED, DESCENT, gradients=False, effect=True)).advance)
    state = create(blueprint(TRACED, DESCENT, effect=True), 0)._replace(params=params)
    errors, changes = [], []
    for rate in (8e-3, 4e-3, 2e-3):
        _, measured = advance(state, arguments(SETTING, rate), ROWS, jnp.int32(1))
        change = np.asarray(measured["reference"], np.float64) - before
        errors.append(np.abs(change - np.asarray(measured["predicted_change"])))
        changes.append(np.abs(change))
    assert np.all(errors[2] < 0.05 * changes[2])
    for coarse, fine in ((errors[0], errors[1]), (errors[1], errors[2])):
        np.testing.assert_allclose(coarse / fine, 4, atol=0.4)


def test_students_do_not_disturb_each_other(start, advance):
    """One student with huge weights, and so a huge gradient, is clipped and decays alone."""
    calm, _ = advance(start, OWN, ROWS, jnp.int32(3))
    wild = jax.tree.map(lambda leaf: leaf, start)
    stack = wild.params["width_00005"]
    stack["decoders"] = stack["decoders"].at[0].mul(1e4)
    found, _ = advance(wild, OWN, ROWS, jnp.int32(3))
    for leaf, values in calm.params["width_00005"].items():
        np.testing.assert_array_equal(values[1], found.params["width_00005"][leaf][1])
        assert np.any(values[0] != found.params["width_00005"][leaf][0])


def test_the_same_numbers_on_eight_devices(start, advance):
    """A chunk on a mesh of 2 x 4, within float32 rounding of one device."""
    mesh = make_mesh(MeshShape(student=2))
    with jax.set_mesh(mesh):
        layout = shardings(FULL, mesh)
        state = jax.jit(lambda: create(FULL, 0), out_shardings=layout)()
        step = Step(FULL)
        batches = jax.device_put(ROWS, sharding(mesh, None, "batch"))
        found, measured = jax.jit(step.advance, donate_argnums=0)(state, OWN, batches, jnp.int32(4))
        jax.block_until_ready((found, measured))
    expected, reference = advance(start, OWN, ROWS, jnp.int32(4))
    close(found, expected, rtol=1e-4, atol=1e-5)
    for name, values in reference.items():
        np.testing.assert_allclose(measured[name], values, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_state_is_laid_out_by_students(start):
    """Weights and both their moments over `student`, one tree with the state."""
    mesh = make_mesh(MeshShape(student=2))
    layout = shardings(FULL, mesh)
    assert jax.tree.structure(layout) == jax.tree.structure(start)
    assert all(place.is_fully_replicated for place in layout.guard.values())
    start, layout = (tree._replace(guard={}) for tree in (start, layout))
    for leaf, place in zip(jax.tree.leaves(start), jax.tree.leaves(layout), strict=True):
        shape = place.shard_shape(leaf.shape)
        assert shape == ((leaf.shape[0] // 2, *leaf.shape[1:]) if leaf.ndim else ())


TEXT = tiny_text.language(sizes=("2x8x16x2",), watch=(1, 2))
SIZE = next(iter(TEXT.architectures))
TEXT_OWN = arguments(TEXT)


@pytest.fixture(scope="module", params=["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def optimizer(request):
    return dataclasses.replace(ADAMW, method=request.param)


@pytest.fixture(scope="module")
def text_start(optimizer):
    return jax.jit(lambda: create(blueprint(traced_of(TEXT), optimizer), 0))()


@pytest.fixture(scope="module")
def text_batches():
    """Two batches of 8 sequences; twelve of their 16 slots are filled."""
    exposure = {"placement": "burst", "gap": 3, "withheld": (1, 2)}
    own = {f"exposure__{name}": value for name, value in exposure.items()}
    batches = TEXT.batches(tiny_text.run(TEXT, **own).schedule(), 0, range(2, 6, 3), slice(None))
    assert [set(np.unique(task)) for task in batches["task"]] == [{0, 1, 2}] * 2
    return batches


@pytest.fixture(scope="module")
def text_expected(optimizer, text_start, text_batches):
    """State and measures after a step on one device, its batch in one piece."""
    step = Step(blueprint(traced_of(TEXT), optimizer, gradients=False, effect=False))
    return jax.jit(step.advance)(text_start, TEXT_OWN, text_batches, jnp.int32(1))


def test_a_language_step_in_pieces_is_the_whole_one(
    optimizer, text_start, text_batches, text_expected
):
    """Cross-entropies of four times two sequences, averaged."""
    own = blueprint(traced_of(TEXT), optimizer, gradients=False, effect=False, accumulate=4)
    step = Step(own)
    found = jax.jit(step.advance)(text_start, TEXT_OWN, text_batches, jnp.int32(1))
    close(found, text_expected, rtol=1e-3, atol=1e-5)


def test_a_language_model_on_eight_devices(optimizer, text_batches, text_expected):
    """Rows, weights, heads and words cut over the mesh: one device within float32 rounding."""
    traced, mesh = traced_of(TEXT), make_mesh(MeshShape(data=2, fsdp=2, model=2))
    with jax.set_mesh(mesh):
        layout = shardings(blueprint(traced, optimizer), mesh)
        state = jax.jit(lambda: create(blueprint(traced, optimizer), 0), out_shardings=layout)()
        weights = state.params[SIZE]
        for leaf, cut in (
            (weights["embedding"], (1, 256 // 2, 8 // 2)),  # words, embed
            (weights["layers"]["qkv"], (1, 2, 8 // 2, 3, 2 // 2, 4)),  # embed, heads
            (weights["layers"]["down"], (1, 2, 8 // 2, 8 // 2)),  # half of the SwiGLU, embed
        ):
            assert leaf.addressable_shards[0].data.shape == cut
            alike = [own for own in jax.tree.leaves(state.optimizer) if own.shape == leaf.shape]
            assert alike and all(own.sharding == leaf.sharding for own in alike)
        batches = jax.tree.map(
            lambda leaf: jax.device_put(leaf, sharding(mesh, None, "batch")), text_batches
        )
        step = Step(blueprint(traced, optimizer, gradients=False, effect=False))
        advance = jax.jit(step.advance, donate_argnums=0, out_shardings=(layout, None))
        state, measured = advance(state, TEXT_OWN, batches, jnp.int32(1))
        assert state.params[SIZE]["layers"]["qkv"].addressable_shards[0].data.shape[4] == 1
        state, measured = jax.device_get((state, measured))
    close(state, text_expected[0], rtol=1e-3, atol=2e-5)
    for name, values in measured.items():
        np.testing.assert_allclose(
            values, text_expected[1][name], rtol=1e-4, atol=1e-5, err_msg=name
        )
