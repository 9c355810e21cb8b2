"""Sparse parities inside compiled programs, against loops over rows in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from tiny import blueprint, by_task

from rare_retention.mesh import MeshShape
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh, sharding
from rare_retention.schedule.schedule import Schedule
from rare_retention.settings import parity_objective
from rare_retention.settings.parity import Parity
from rare_retention.settings.traced import traced_of
from rare_retention.train.state import Arguments, create
from rare_retention.train.step import Step

SETTING = Parity(
    tasks=4, bits=6, subset=3, widths=(5, 3), initialisations=2, evaluated=50, watch=(-1, 0)
)
ROWS = 32
KEY = 5


def loss_of_row(weights, task, bits, subset):
    """Cross-entropy and whether the parity is told, of one row, unit by unit in float64."""
    label = sum(int(bits[i]) for i in subset) % 2
    hidden = []
    for unit in range(len(weights["bias"])):
        total = weights["bias"][unit] + weights["control"][task, unit]
        total += sum(bits[i] * weights["bits"][i, unit] for i in range(len(bits)))
        hidden.append(max(total, 0.0))
    logits = [weights["output_bias"][o] + np.dot(hidden, weights["output"][:, o]) for o in (0, 1)]
    normaliser = np.log(sum(np.exp(logit) for logit in logits))
    return normaliser - logits[label], (logits[1] > logits[0]) == (label == 1)


@pytest.fixture(scope="module")
def computed():
    """What one program computes, and the rows that it drew."""
    traced, numbers = traced_of(SETTING), SETTING.numbers(1)
    task = Schedule(SETTING.frequencies, ROWS, seed=1).rows(0)
    params = jax.jit(traced.family.init)(3)

    @jax.jit
    def compute(params, task, numbers):
        key = jax.random.key(KEY)

        def total(params):
            losses = by_task(traced)(params, task, key, numbers)
            return sum(a.sum() for a in losses.values()), losses

        gradient, losses = jax.grad(total, has_aux=True)(params)
        return {
            "losses": losses,
            "gradient": gradient,
            "inputs": traced.objective.inputs(task, key, numbers),
            "reference": traced.reference(params, numbers),
            "probe": traced.probe(params, numbers),
        }

    return params, task, numbers, jax.device_get(compute(params, task, numbers))


def weights_of(params, group, student):
    return {name: np.asarray(a[student], np.float64) for name, a in params[group].items()}


def each_student(params):
    return [(group, i) for group in params for i in range(SETTING.initialisations)]


def test_labels_are_parities_of_the_bits_of_the_own_subset(computed):
    _, task, numbers, found = computed
    inputs = found["inputs"]
    rows = zip(inputs.bits, task, strict=True)
    expected = [sum(bits[i] for i in numbers.subsets[k]) % 2 for bits, k in rows]
    np.testing.assert_array_equal(inputs.label, expected)
    np.testing.assert_array_equal(inputs.task, task)
    assert set(np.unique(inputs.bits)) == {0.0, 1.0}


def test_losses_are_means_of_the_rows_split_by_subtask(computed):
    params, task, numbers, found = computed
    for group, i in each_student(params):
        split = np.zeros(4)
        for k, bits in zip(task, found["inputs"].bits, strict=True):
            loss, _ = loss_of_row(weights_of(params, group, i), k, bits, numbers.subsets[k])
            split[k] += loss / ROWS
        np.testing.assert_allclose(found["losses"][group][i], split, rtol=1e-5)


def test_gradients_are_those_of_the_loss(computed):
    """Central differences of the float64 loop, in two weights of each array."""
    params, task, numbers, found = computed
    rng, step = np.random.default_rng(0), 1e-6

    def total(weights):
        rows = zip(task, found["inputs"].bits, strict=True)
        return np.mean([loss_of_row(weights, k, b, numbers.subsets[k])[0] for k, b in rows])

    for group, i in each_student(params)[::3]:
        weights = weights_of(params, group, i)
        for name, values in weights.items():
            for place in rng.integers(0, values.size, 2):
                ends = []
                for sign in (1, -1):
                    moved = values.copy()
                    moved.flat[place] += sign * step
                    ends.append(total(weights | {name: moved}))
                slope = (ends[0] - ends[1]) / (2 * step)
                gradient = found["gradient"][group][name][i].flat[place]
                np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-6)


def test_probe_and_reference_ask_every_subtask_on_the_same_rows(computed):
    params, _, numbers, found = computed
    assert numbers.rows.shape == (50, 6)
    for group, i in each_student(params):
        weights = weights_of(params, group, i)
        asked = np.array(
            [
                [loss_of_row(weights, k, bits, numbers.subsets[k]) for bits in numbers.rows]
                for k in range(4)
            ]
        ).mean(1)
        np.testing.assert_allclose(found["probe"][group]["loss"][i], asked[:, 0], rtol=1e-5)
        np.testing.assert_allclose(found["probe"][group]["accuracy"][i], asked[:, 1], rtol=1e-6)
        np.testing.assert_allclose(found["reference"][group][i], asked[[3, 0], 0], rtol=1e-5)


def test_the_loss_of_zero_weights_is_that_of_guessing(computed):
    """ln 2 for every subtask; a tie tells a parity of 0."""
    params, _, numbers, _ = computed
    traced = traced_of(SETTING)
    zero = jax.tree.map(jnp.zeros_like, params)
    probe = jax.jit(traced.probe)(zero, numbers)
    even = [1 - (numbers.rows[:, s].sum(1) % 2).mean() for s in numbers.subsets]
    for found in probe.values():
        np.testing.assert_allclose(found["loss"], np.log(2), rtol=1e-6)
        np.testing.assert_allclose(found["accuracy"], [even, even], rtol=1e-6)


@pytest.mark.parametrize("bits", [3, 32, 40])
def test_bits_are_fair_and_every_key_has_others(bits):
    found, other = (
        np.asarray(parity_objective.draw(jax.random.key(i), 4000, bits)) for i in (0, 1)
    )
    assert found.shape == (4000, bits) and set(np.unique(found)) == {0.0, 1.0}
    np.testing.assert_allclose(found.mean(0), 0.5, atol=5 * 0.5 / 4000**0.5)
    correlation = np.corrcoef(found.T) - np.eye(bits)
    np.testing.assert_allclose(correlation, 0, atol=5.5 / 4000**0.5)
    assert np.any(found != other)


def test_the_same_bits_and_losses_on_eight_devices(computed):
    """Rows and students over a mesh of 2 x 4."""
    params, task, numbers, expected = computed
    traced, mesh = traced_of(SETTING), make_mesh(MeshShape(student=2))

    def compute(params, task, numbers):
        key = jax.random.key(KEY)
        losses = by_task(traced)(params, task, key, numbers)
        return {"losses": losses, "inputs": traced.objective.inputs(task, key, numbers)}

    is_spec = {"is_leaf": lambda x: isinstance(x, PartitionSpec)}
    layout = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec), traced.family.partition(), **is_spec
    )
    with jax.set_mesh(mesh):
        placed = jax.device_put(params, layout), jax.device_put(task, sharding(mesh, "batch"))
        found = jax.device_get(jax.jit(compute)(*placed, numbers))
    np.testing.assert_array_equal(found["inputs"].bits, expected["inputs"].bits)
    np.testing.assert_array_equal(found["inputs"].label, expected["inputs"].label)
    for group, split in found["losses"].items():
        np.testing.assert_allclose(split, expected["losses"][group], rtol=1e-5)


def test_single_bits_are_learned_within_a_few_hundred_steps():
    """A parity of one bit is that bit: all subtasks are told by the step of every run."""
    setting = Parity(tasks=3, bits=5, subset=1, prior_exponent=0.5, widths=(16,))
    adam = Optimizer(schedule="constant", peak=0.02, weight_decay=0.0, clip=None)
    made = blueprint(traced_of(setting), adam)
    step, state = Step(made), create(made, 0)
    numbers = jax.tree.map(jnp.asarray, setting.numbers(0))
    own = Arguments(jax.random.key(0), np.uint32(0), adam.rates(state.params), numbers)
    schedule = Schedule(setting.frequencies, 64, seed=0)
    rows = jnp.asarray(np.stack([schedule.rows(t) for t in range(300)]))

    def advance(state, row):
        return step.advance(state, own, row[None], jnp.int32(1))

    measured = jax.jit(lambda s, r: jax.lax.scan(advance, s, r)[1])(state, rows)
    assert measured["loss"][-1].max() < 0.1
    np.testing.assert_array_equal(measured["accuracy"][-1], 1.0)
