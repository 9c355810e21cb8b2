"""What the loop expects of a setting, checked on every one there is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from rare_retention.settings.competition import Competition
from rare_retention.settings.regression import Regression
from rare_retention.tasks.regression import RegressionTasks

SETTINGS = [
    Regression(
        tasks=RegressionTasks(inputs=14, count=3, block=4),
        widths=(5, 2),
        initialisations=2,
        watch=(2, 1),
    ),
    Competition(neurons=(3, 1), initialisations=2),
]


TASK = jnp.array([0, 1, 0, 0, 0, 0, 0, 0], jnp.int32)


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda setting: setting.kind)
def setting(request):
    return request.param


@pytest.fixture(scope="module")
def params(setting):
    return jax.jit(setting.init)()


def test_groups_hold_the_students_in_order(setting, params):
    """Stacks in the order in which JAX flattens them, their students one after another."""
    assert list(params) == sorted(params)
    expected = [(group, i) for group in params for i in range(setting.initialisations)]
    assert [(s.group, s.initialisation) for s in setting.students] == expected
    widths = [s.width for s in setting.students]
    assert widths == sorted(widths)
    for leaf in jax.tree.leaves(params):
        assert (leaf.shape[0], leaf.dtype) == (setting.initialisations, jnp.float32)


def test_partition_fits_the_weights(setting, params):
    """One entry for each dimension, students over the axis of that name."""

    def check(leaf, spec):
        assert len(spec) == leaf.ndim
        assert spec[0] == "student"
        return True

    is_spec = {"is_leaf": lambda x: isinstance(x, PartitionSpec)}
    parts = jax.tree.map(lambda spec: [spec], setting.partition(), **is_spec)
    checked = jax.tree.map(lambda leaf, spec: check(leaf, spec[0]), params, parts)
    assert jax.tree.all(checked)


def test_frequencies_fit_the_tasks(setting):
    """Most frequent first, in float64, among the constants."""
    pi = setting.frequencies
    assert pi.dtype == np.float64
    assert len(pi) == len(setting.task_names) == len(set(setting.task_names))
    assert np.all(np.diff(pi) <= 0)
    assert pi.sum() == pytest.approx(1, abs=1e-12)
    dims, values = setting.constants()["frequency"]
    assert dims == ("task",)
    np.testing.assert_array_equal(values, pi)
    assert all(0 <= k < len(pi) for k in setting.watch_ids)


def test_losses_reference_and_probe_have_their_shapes(setting, params):
    """[R, K], [R, watch], and what `measures` says; all groups can be joined."""
    count = setting.initialisations
    sizes = {"task": len(setting.task_names), "watch": len(setting.watch_ids)}
    losses = jax.jit(setting.losses)(params, TASK, jax.random.key(0))
    reference = jax.jit(setting.reference)(params)
    probe = jax.jit(setting.probe)(params)
    assert list(losses) == list(reference) == list(probe) == list(params)
    for group in params:
        assert losses[group].shape == (count, sizes["task"])
        assert reference[group].shape == (count, sizes["watch"])
        assert set(probe[group]) == set(setting.measures)
        for name, measure in setting.measures.items():
            assert measure.unit
            assert measure.meaning
            values = probe[group][name]
            shape = (count, *(sizes.setdefault(d, n) for d, n in _dims(measure, values)))
            assert values.shape == shape, name
            assert values.dtype == jnp.float32


def _dims(measure, values):
    assert values.ndim == 1 + len(measure.dims)
    return zip(measure.dims, values.shape[1:], strict=True)


def test_gradients_are_finite_for_every_student(setting, params):
    """And not all zero."""

    def total(p):
        return sum(a.sum() for a in setting.losses(p, TASK, jax.random.key(0)).values())

    for leaf in jax.tree.leaves(jax.jit(jax.grad(total))(params)):
        flat = np.asarray(leaf).reshape(setting.initialisations, -1)
        assert np.all(np.isfinite(flat))
        assert np.all(np.abs(flat).max(1) > 0)
