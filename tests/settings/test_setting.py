"""What the loop expects of a setting, checked on every one there is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_text
from jax.sharding import PartitionSpec
from scheduled import scheduled
from tiny import by_task

from rare_retention.settings.competition import Competition
from rare_retention.settings.parity import Parity
from rare_retention.settings.regression import Regression
from rare_retention.settings.traced import traced_of as trace
from rare_retention.tasks import Comparison
from rare_retention.tasks.regression import RegressionTasks

SETTINGS = [
    Regression(
        tasks=RegressionTasks(inputs=14, count=3, block=4),
        widths=(5, 2),
        initialisations=2,
        watch=(2, 1),
    ),
    Regression(
        tasks=RegressionTasks(inputs=14, count=3, block=4),
        widths=(5, 2),
        initialisations=2,
        watch=(2, 1),
        gradient="expected",
    ),
    Competition(neurons=(3, 1), initialisations=2),
    Parity(tasks=3, bits=5, subset=2, widths=(5, 2), initialisations=2, watch=(2, 1)),
    tiny_text.language(
        initialisations=2, tasks=(Comparison(per_token=4 / tiny_text.TOKENS, symbols=9),)
    ),
]

ROWS = 8


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda setting: setting.kind)
def setting(request):
    return request.param


@pytest.fixture(scope="module")
def traced(setting):
    return trace(setting)


@pytest.fixture(scope="module")
def numbers(setting):
    return jax.tree.map(jnp.asarray, setting.numbers(0))


@pytest.fixture(scope="module")
def params(traced):
    return jax.jit(traced.family.init)(0)


@pytest.fixture(scope="module")
def batch(setting):
    """One of its own, of 8 rows."""
    schedule = scheduled(setting.frequencies, ROWS * setting.slots, seed=1)
    return jax.tree.map(lambda leaf: leaf[0], setting.batches(schedule, 0, range(1), slice(None)))


@pytest.fixture(scope="module")
def found(traced, numbers, params, batch):
    """What one program computes of a setting."""

    @jax.jit
    def compute(params, batch, numbers):
        def total(params):
            losses = by_task(traced)(params, batch, jax.random.key(0), numbers)
            return sum(a.sum() for a in losses.values()), losses

        gradient, losses = jax.grad(total, has_aux=True)(params)
        return {
            "losses": losses,
            "gradient": gradient,
            "shares": traced.objective.shares(batch),
            "reference": traced.reference(params, numbers),
            "probe": traced.probe(params, numbers),
        }

    return compute(params, batch, numbers)


def test_groups_hold_the_students_in_order(setting, params):
    """Stacks in the order in which JAX flattens them, their students one after another."""
    assert list(params) == sorted(params)
    expected = [(group, i) for group in params for i in range(setting.initialisations)]
    assert [(s.group, s.initialisation) for s in setting.family.students] == expected
    parameters = [s.parameters for s in setting.family.students]
    assert parameters == sorted(parameters)
    weights = {g: sum(x[0].size for x in jax.tree.leaves(own)) for g, own in params.items()}
    assert parameters == [weights[s.group] for s in setting.family.students]
    assert list(setting.family.flops(8)) == list(
        dict.fromkeys(s.size for s in setting.family.students)
    )
    for leaf in jax.tree.leaves(params):
        assert (leaf.shape[0], leaf.dtype) == (setting.initialisations, jnp.float32)


def test_partition_fits_the_weights(traced, params):
    """One entry for each dimension, students over the axis of that name."""

    def check(leaf, spec):
        assert len(spec) == leaf.ndim
        assert spec[0] == "student"
        return True

    is_spec = {"is_leaf": lambda x: isinstance(x, PartitionSpec)}
    parts = jax.tree.map(lambda spec: [spec], traced.family.partition(), **is_spec)
    checked = jax.tree.map(lambda leaf, spec: check(leaf, spec[0]), params, parts)
    assert jax.tree.all(checked)


def test_frequencies_fit_the_tasks(setting):
    """Most frequent first, in float64, among the constants."""
    pi = setting.frequencies
    assert pi.dtype == np.float64
    assert len(pi) == len(setting.task_names) == len(set(setting.task_names))
    assert np.all(np.diff(pi) <= 0)
    assert pi.sum() == pytest.approx(1, abs=1e-12)
    measure, values = setting.constants()["frequency"]
    assert (measure.dims, measure.unit) == (("task",), "share")
    np.testing.assert_array_equal(values, pi)
    assert all(0 <= k < len(pi) for k in setting.watch_ids)


def test_losses_reference_and_probe_have_their_shapes(setting, params, found):
    """[R, K], [R, watch], and what `measures` says; all groups can be joined."""
    count = setting.initialisations
    sizes = {"task": len(setting.task_names), "watch": len(setting.watch_ids)}
    losses, reference, probe = (found[name] for name in ("losses", "reference", "probe"))
    assert list(losses) == list(reference) == list(probe) == list(params)
    for group in params:
        assert losses[group].shape == (count, sizes["task"])
        assert reference[group].shape == (count, sizes["watch"])
        assert set(probe[group]) == set(setting.objective.quantities)
        for name, measure in setting.objective.quantities.items():
            assert measure.unit
            assert measure.meaning
            values = probe[group][name]
            shape = (count, *(sizes.setdefault(d, n) for d, n in _dims(measure, values)))
            assert values.shape == shape, name
            assert values.dtype == jnp.float32


def test_batches_are_rows_of_the_global_ones(setting):
    """Functions of step and rows alone: all leaves [steps, rows, ...], any part the same."""
    schedule = scheduled(setting.frequencies, ROWS * setting.slots, seed=2)
    whole = setting.batches(schedule, 1, range(3, 6), slice(None))
    part = setting.batches(schedule, 1, range(4, 6), slice(2, 5))
    for leaf, some in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
        assert leaf.shape[:2] == (3, ROWS)
        np.testing.assert_array_equal(some, leaf[1:, 2:5])


def test_losses_add_up_to_a_mean_that_shares_split(found):
    """Shares sum to one; a task without any adds nothing."""
    shares = np.asarray(found["shares"])
    assert shares.sum() == pytest.approx(1, rel=1e-6)
    for split in found["losses"].values():
        np.testing.assert_array_equal(np.asarray(split)[:, shares == 0], 0)


def test_messages_name_a_field_for_every_task(setting):
    """Which there is, so that a message about its frequency can be acted on."""
    wording = setting.wording
    assert len(wording.frequencies) == len(setting.task_names)
    for field in {*wording.frequencies, *filter(None, [wording.room])}:
        value = setting
        for name in field.replace("[", ".").replace("]", "").split("."):
            value = value[int(name)] if name.isdecimal() else getattr(value, name)
    assert (wording.slots, wording.slots / wording.unit) == (setting.slots, setting.row_tokens)


def _dims(measure, values):
    assert values.ndim == 1 + len(measure.dims)
    return zip(measure.dims, values.shape[1:], strict=True)


def test_gradients_are_finite_for_every_student(setting, found):
    """And not all zero."""
    for leaf in jax.tree.leaves(found["gradient"]):
        flat = np.asarray(leaf).reshape(setting.initialisations, -1)
        assert np.all(np.isfinite(flat))
        assert np.all(np.abs(flat).max(1) > 0)
