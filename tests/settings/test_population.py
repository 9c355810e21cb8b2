"""Closed forms of one student against sampling, differences and dense algebra in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.settings import population
from rare_retention.theory import interference

TASKS, BLOCK, INPUTS, WIDTH = 3, 4, 14, 5
PRIOR = np.array([0.6, 0.3, 0.1])

losses = jax.jit(population.losses)
residuals = jax.jit(population.residuals)
row_basis = jax.jit(population.row_basis)
signals = jax.jit(population.signals)
task_loss = jax.jit(population.task_loss, static_argnums=3)


class Student:
    """Random weights, exact in float32, and the maps A_k [K, d_T, D] of the targets."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.encoder = rng.standard_normal((WIDTH, INPUTS)).astype(np.float32)
        self.decoders = rng.standard_normal((TASKS, BLOCK, WIDTH)).astype(np.float32)
        spectra = np.sort(rng.uniform(0.1, 1, (TASKS, BLOCK)))[:, ::-1]
        self.scale = np.sqrt(spectra).astype(np.float32)
        self.maps = np.zeros((TASKS, BLOCK, INPUTS))
        for k in range(TASKS):
            for j in range(BLOCK):
                self.maps[k, j, k * BLOCK + j] = self.scale[k, j]

    def errors(self, encoder=None):
        """D_k W - A_k in float64."""
        encoder = self.encoder if encoder is None else encoder
        return self.decoders.astype(np.float64) @ np.asarray(encoder, np.float64) - self.maps

    def losses(self, encoder=None):
        return (self.errors(encoder) ** 2).sum((1, 2))

    def arrays(self):
        return jnp.asarray(self.encoder), jnp.asarray(self.decoders), jnp.asarray(self.scale)


def ill_conditioned(width, inputs, condition, shape, seed=0):
    """W [N, D] in float32 whose singular values fall from 1 to 1/condition in one of three ways."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((width, width)))[0]
    right = np.linalg.qr(rng.standard_normal((inputs, width)))[0]
    values = {
        "geometric": np.geomspace(1, 1 / condition, width),
        "one weak": np.append(np.ones(width - 1), 1 / condition),
        "half weak": np.where(np.arange(width) < width // 2, 1, 1 / condition),
    }[shape]
    return ((left * values) @ right.T).astype(np.float32)


def projector(encoder):
    """W^T (W W^T)^-1 W in float64."""
    rows = np.asarray(encoder, np.float64)
    return rows.T @ np.linalg.solve(rows @ rows.T, rows)


def test_losses_are_means_over_inputs():
    """E||y_k - yhat_k||^2 within five standard errors of 200,000 draws."""
    student = Student(0)
    x = np.random.default_rng(1).standard_normal((200_000, INPUTS))
    found = losses(*student.arrays())
    for k in range(TASKS):
        target = x[:, k * BLOCK : (k + 1) * BLOCK] * student.scale[k]
        error = x @ student.encoder.T.astype(np.float64) @ student.decoders[k].T - target
        sampled = (error**2).sum(1)
        assert abs(found[k] - sampled.mean()) < 5 * sampled.std() / np.sqrt(len(x))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_losses_and_residuals_are_exact(seed):
    """To float32 rounding; one task at a time gives the same as all at once."""
    student = Student(seed)
    arrays = student.arrays()
    np.testing.assert_allclose(residuals(*arrays), student.errors(), atol=1e-5)
    np.testing.assert_allclose(losses(*arrays), student.losses(), rtol=1e-5)
    alone = [task_loss(*arrays, k) for k in range(TASKS)]
    np.testing.assert_allclose(alone, student.losses(), rtol=1e-5)


def test_encoder_gradient_is_that_of_the_mixture_loss():
    """By autodiff in float32, and by central differences in float64."""
    student = Student(2)
    encoder, decoders, scale = student.arrays()
    weight = jnp.asarray(PRIOR, jnp.float32)

    @jax.jit
    def both(encoder):
        errors = population.residuals(encoder, decoders, scale)
        auto = jax.grad(lambda w: weight @ population.losses(w, decoders, scale))(encoder)
        return population.encoder_gradient(weight, decoders, errors), auto

    found, auto = both(encoder)
    np.testing.assert_allclose(found, auto, rtol=1e-5, atol=1e-5)

    slopes = np.zeros((WIDTH, INPUTS))
    for place in np.ndindex(*slopes.shape):
        nudge = np.zeros_like(slopes)
        nudge[place] = 1e-4
        ahead, behind = (student.losses(student.encoder + sign * nudge) for sign in (1, -1))
        slopes[place] = PRIOR @ (ahead - behind) / 2e-4
    np.testing.assert_allclose(found, slopes, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", ["geometric", "one weak", "half weak"])
@pytest.mark.parametrize("condition", [1e2, 1e6])
@pytest.mark.parametrize(
    ("width", "inputs", "scale"), [(5, 14, 1.0), (128, 160, 1e-3), (24, 24, 9)]
)
def test_row_basis_is_orthonormal_and_spans_the_rows(shape, condition, width, inputs, scale):
    """Orthonormal to rounding always; the span is as exact as float32 knows it."""
    encoder = ill_conditioned(width, inputs, condition, shape) * np.float32(scale)
    basis = np.asarray(row_basis(jnp.asarray(encoder)), np.float64)
    np.testing.assert_allclose(basis @ basis.T, np.eye(width), atol=2e-6)
    difference = np.linalg.norm(basis.T @ basis - projector(encoder), 2)
    assert difference < 4e-7 * max(condition, 5)


@pytest.mark.parametrize("condition", [1.0, 1e3])
def test_signals_are_captured_shares_of_dense_covariances(condition):
    """s_k = Tr(P C_k) / Tr(C_k) with P = W^T (W W^T)^-1 W in float64."""
    encoder = ill_conditioned(WIDTH, INPUTS, condition, "geometric", seed=3)
    spectra = Student(3).scale.astype(np.float64) ** 2
    span = projector(encoder)
    expected = []
    for k in range(TASKS):
        covariance = np.zeros((INPUTS, INPUTS))
        own = np.arange(k * BLOCK, (k + 1) * BLOCK)
        covariance[own, own] = spectra[k]
        expected.append(np.trace(span @ covariance) / np.trace(covariance))
    basis = row_basis(jnp.asarray(encoder))
    found = signals(basis, jnp.asarray(spectra, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6 * condition)


def test_signals_of_random_spans_are_near_n_over_d_and_of_all_inputs_one():
    """Nothing learned means N / D on average; N = D captures everything."""
    spectra = jnp.ones((2, 32))
    encoder = ill_conditioned(24, 64, 1.0, "geometric", seed=4)
    shares = signals(row_basis(jnp.asarray(encoder)), spectra)
    np.testing.assert_allclose(np.mean(shares), 24 / 64, atol=1e-6)
    square = ill_conditioned(64, 64, 10.0, "geometric", seed=5)
    shares = signals(row_basis(jnp.asarray(square)), spectra)
    np.testing.assert_allclose(shares, 1, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_common_gradient_is_that_of_theorem_4(seed):
    """Against the theory's dense matrices, and below its bound."""
    rng = np.random.default_rng(seed)
    encoder = rng.standard_normal((WIDTH, INPUTS)).astype(np.float32)
    moment = np.where(np.arange(INPUTS) < 8, rng.uniform(0, 1, INPUTS), 0).astype(np.float32)
    basis = row_basis(jnp.asarray(encoder))
    found = population.common_gradient(basis, jnp.asarray(moment))
    dense, u = np.diag(moment.astype(np.float64)), np.asarray(basis).T
    np.testing.assert_allclose(found, interference.common_gradient(u, dense).T, atol=2e-6)
    assert np.linalg.norm(found) <= interference.gradient_bound(u, dense) * (1 + 1e-5)
