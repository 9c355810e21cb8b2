"""Bottleneck students on a batch and on the population, against NumPy in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import by_task

from rare_retention.settings.regression import Regression
from rare_retention.settings.regression_objective import targets
from rare_retention.settings.traced import traced_of
from rare_retention.tasks.regression import RegressionTasks
from rare_retention.theory import interference
from rare_retention.theory.utility import common_set

TASKS = RegressionTasks(inputs=14, count=3, block=4, prior_exponent=1.5)
SETTING = Regression(tasks=TASKS, widths=(2, 6), initialisations=3, watch=(-1, 0))
KEY = jax.random.key(11)
TRACED, NUMBERS = traced_of(SETTING), jax.tree.map(jnp.asarray, SETTING.numbers(0))
LOSSES = jax.jit(by_task(TRACED))
GROUPS = {"width_00002": 2, "width_00006": 6}


def batch(counts, seed=0):
    """Task of each row for given rows of each task, shuffled."""
    ids = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return np.random.default_rng(seed).permutation(ids)


@pytest.fixture(scope="module")
def params():
    return jax.jit(TRACED.family.init)(0)


@pytest.fixture(scope="module")
def measured(params):
    """Probe and reference, from one program."""
    return jax.jit(lambda *asked: (TRACED.probe(*asked), TRACED.reference(*asked)))(params, NUMBERS)


def students(params):
    """(group, number, W [N, D], D_k [K, d_T, N]) of each student in float64."""
    for name, stack in params.items():
        for i in range(3):
            yield (
                name,
                i,
                np.asarray(stack["encoder"][i], np.float64),
                np.asarray(stack["decoders"][i], np.float64),
            )


@functools.cache
def target_maps():
    """A_k [K, d_T, D]."""
    maps = np.zeros((3, 4, 14))
    for k in range(3):
        for j in range(4):
            maps[k, j, 4 * k + j] = (j + 1) ** -1.0
    return maps


def naive_losses(stack, task, key):
    """The same loss with a gathered decoder for every row, for one stack."""
    x = jax.random.normal(key, (len(task), 14))
    y = jnp.einsum("bjd,bd->bj", jnp.asarray(target_maps(), jnp.float32)[task], x)

    def one(weights):
        hidden = x @ weights["encoder"].T
        prediction = jnp.einsum("bjn,bn->bj", weights["decoders"][task], hidden)
        return jnp.square(prediction - y).sum(-1)

    return jax.vmap(one)(stack).mean(-1)


@pytest.mark.parametrize("counts", [(24, 12, 5), (41, 0, 0), (0, 33, 8)])
def test_losses_are_a_loop_over_rows(params, counts):
    """Row by row in float64, on the same inputs; a task without rows adds exactly nothing."""
    task = batch(counts)
    found = LOSSES(params, task, KEY, NUMBERS)
    x = np.asarray(jax.random.normal(KEY, (len(task), 14)), np.float64)
    for name, i, encoder, decoders in students(params):
        expected = np.zeros(3)
        for row, k in enumerate(task):
            error = decoders[k] @ encoder @ x[row] - target_maps()[k] @ x[row]
            expected[k] += error @ error / len(task)
        np.testing.assert_allclose(found[name][i], expected, rtol=2e-5)
        assert np.all(np.asarray(found[name][i])[np.array(counts) == 0] == 0)


def test_losses_and_gradients_are_those_of_gathered_decoders(params):
    """The sum over tasks is the training loss, and so is its gradient."""
    task = batch((24, 12, 5))

    def total(p):
        return sum(loss.sum() for loss in by_task(TRACED)(p, task, KEY, NUMBERS).values())

    def naive(p):
        return sum(naive_losses(stack, task, KEY).sum() for stack in p.values())

    both = jax.jit(lambda p: [jax.value_and_grad(f)(p) for f in (total, naive)])
    (value, found), (expected_value, expected) = both(params)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    for name, stack in expected.items():
        for leaf, grad in stack.items():
            tolerance = 1e-5 * float(np.abs(grad).max())
            np.testing.assert_allclose(found[name][leaf], grad, rtol=1e-4, atol=tolerance)


def test_batches_differ_with_the_key(params):
    """Inputs are drawn afresh every step."""
    task = batch((24, 12, 5))
    first, again, other = (LOSSES(params, task, jax.random.key(k), NUMBERS) for k in (0, 0, 1))
    for name in GROUPS:
        np.testing.assert_array_equal(first[name], again[name])
        assert np.all(first[name] != other[name])


def test_probe_is_dense_algebra_on_the_population(params, measured):
    """Each measured value of each student; U is orth(W^T) from LAPACK in float64."""
    probe, _ = measured
    prior = np.array([1, 2**-1.5, 3**-1.5])
    prior /= prior.sum()
    spectra = np.tile(np.arange(1, 5) ** -2.0, (3, 1))
    common = common_set(prior)
    np.testing.assert_array_equal(common, [0, 1])
    maps = target_maps()
    covariances = np.einsum("kja,kjb->kab", maps, maps)
    moment = np.einsum("k,kab->ab", prior[common], covariances[common])
    for name, i, encoder, decoders in students(params):
        got = {key: np.asarray(value[i], np.float64) for key, value in probe[name].items()}
        error = decoders @ encoder - maps
        gradients = np.einsum("kjn,kjd->knd", 2 * decoders, error)
        pull = np.einsum("k,knd->nd", prior[common], gradients[common])
        basis = np.linalg.qr(encoder.T)[0]
        watched = gradients[[2, 0]]
        norms = np.linalg.norm(watched, axis=(1, 2))
        cosine = np.sum(watched * pull, axis=(1, 2)) / norms / np.linalg.norm(pull)
        captured = np.einsum("dn,kde,en->k", basis, covariances, basis) / spectra.sum(1)
        theorem = interference.common_gradient(basis, moment)
        expected = {
            "loss": np.sum(error**2, axis=(1, 2)),
            "signal": captured,
            "residual": interference.residual(basis, moment),
            "common_gradient": np.linalg.norm(pull),
            "rare_gradient": norms,
            "cosine": cosine,
            "basis_gradient": np.linalg.norm(theorem),
            "basis_bound": interference.gradient_bound(basis, moment),
        }
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(got[key], value, rtol=2e-5, atol=2e-6, err_msg=key)


def test_probe_of_the_optimum():
    """Optimal students have no common gradient left, nor one that the bound would allow."""
    tasks = RegressionTasks(inputs=8, count=2, block=4, prior=(0.9, 0.1))
    setting = Regression(tasks=tasks, widths=(4,))
    encoder, scale = np.eye(4, 8), np.sqrt(tasks.spectra())
    decoders = np.stack([np.diag(scale[0]), np.zeros((4, 4))])
    stack = {"encoder": encoder[None], "decoders": decoders[None]}
    weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), stack)
    probe = jax.jit(traced_of(setting).probe)
    found = probe({"width_00004": weights}, setting.numbers(0))["width_00004"]
    np.testing.assert_allclose(found["loss"], [[0, tasks.spectra()[1].sum()]], atol=1e-6)
    np.testing.assert_allclose(found["signal"], [[1, 0]], atol=1e-6)
    for name in ("residual", "common_gradient", "basis_gradient", "cosine"):
        np.testing.assert_allclose(found[name], np.zeros_like(found[name]), atol=1e-6)


def test_reference_is_the_loss_of_the_watched_tasks(measured):
    """In the order of `watch`; one draw of the batch does not matter."""
    probe, reference = measured
    for name in GROUPS:
        loss = np.asarray(probe[name]["loss"])
        np.testing.assert_allclose(reference[name], loss[:, [2, 0]], rtol=1e-6)


def test_initial_draws_depend_on_width_and_initialisation_alone(params):
    """They are the same in every run, beside whichever other students there are."""
    other = Regression(tasks=TASKS, widths=(4, 6), initialisations=2)
    again = jax.jit(lambda draw: other.family.init(draw)["width_00006"])(0)
    for leaf in ("encoder", "decoders"):
        np.testing.assert_allclose(again[leaf], params["width_00006"][leaf][:2], atol=1e-6)
        for name in GROUPS:
            draws = np.asarray(params[name][leaf]).reshape(3, -1)
            for i, j in ((0, 1), (0, 2), (1, 2)):
                assert np.abs(draws[i] - draws[j]).max() > 0.1


def test_students_are_in_the_order_of_the_stacks():
    """By width, in whatever order the widths are given."""
    setting = Regression(tasks=TASKS, widths=(6, 2), initialisations=2)
    params = jax.eval_shape(setting.family.init, 0)
    assert [(s.size, s.initialisation) for s in setting.family.students] == [
        (2, 0),
        (2, 1),
        (6, 0),
        (6, 1),
    ]
    assert [s.group for s in setting.family.students[::2]] == list(params) == list(GROUPS)
    for name, width in GROUPS.items():
        assert params[name]["encoder"].shape == (2, width, 14)
        assert params[name]["decoders"].shape == (2, 3, 4, width)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(7,), (2, 5)]))
def test_targets_are_scaled_own_coordinates(seed, batch):
    """y = Lambda_k^(1/2) B_k^T x, row by row; spare inputs belong to no task."""
    tasks = RegressionTasks(inputs=14, count=3, block=4)
    scale = np.sqrt(tasks.spectra()).astype(np.float32)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*batch, 14)).astype(np.float32)
    ids = rng.integers(0, 3, batch).astype(np.int32)
    found = targets(jnp.asarray(scale), jnp.asarray(x), jnp.asarray(ids))
    assert found.shape == (*batch, 4)
    for place in np.ndindex(*batch):
        k = ids[place]
        np.testing.assert_array_equal(found[place], scale[k] * x[place][4 * k : 4 * k + 4])
