"""Theorem 4, Corollary 5 and Proposition 6 against dense linear algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rare_retention.theory import interference

SETTINGS = settings(deadline=None, max_examples=150)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def mixtures(draw):
    """Prior [K], spectra [K, d_T] and a common set that leaves out at least one task."""
    tasks, directions = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    positive = st.floats(0.01, 1)
    weights = np.array(draw(st.lists(positive, min_size=tasks, max_size=tasks)))
    flat = draw(st.lists(positive, min_size=tasks * directions, max_size=tasks * directions))
    order = draw(st.permutations(range(tasks)))
    common = np.array(order[: draw(st.integers(1, tasks - 1))])
    return weights / weights.sum(), np.sort(np.reshape(flat, (tasks, directions)))[:, ::-1], common


def moment_of(prior, covariances, tasks):
    """Sum of pi_k C_k over the given tasks [D, D]."""
    return np.einsum("k,kij->ij", prior[tasks], covariances[tasks])


def orthonormal(rng, inputs, width):
    """A random basis [D, N] with orthonormal columns."""
    return np.linalg.qr(rng.standard_normal((inputs, width)))[0]


def left_over(basis, moment):
    """Tr((I - P) M) for any basis of full rank, orthonormal or not."""
    projector = basis @ np.linalg.solve(basis.T @ basis, basis.T)
    return np.trace((np.eye(len(moment)) - projector) @ moment)


@SETTINGS
@given(mixtures(), st.integers(0, 3), SEEDS)
def test_common_spectrum_and_floors_are_those_of_the_moment(covariances, mixture, spare, seed):
    """Eigenvalues of M_F, their tails, and the first width whose tail is small (Corollary 5)."""
    prior, spectra, common = mixture
    moment = moment_of(prior, covariances(spectra, spare, seed), common)
    eigenvalues = np.linalg.eigvalsh(moment)[::-1]
    mu = interference.common_spectrum(prior, spectra, common)
    np.testing.assert_allclose(mu, eigenvalues[: len(mu)], atol=1e-12)
    floors = [eigenvalues[n:].sum() for n in range(len(eigenvalues) + 1)]
    widths = np.arange(len(floors))
    np.testing.assert_allclose(
        interference.residual_floor(prior, spectra, common, widths), floors, atol=1e-12
    )
    for epsilon in (0.3 * floors[0], 0.01 * floors[0], 2 * floors[0]):
        found = interference.width_for_residual(prior, spectra, common, epsilon)
        assert found == next(n for n, floor in enumerate(floors) if floor <= epsilon)


@SETTINGS
@given(mixtures(), SEEDS, st.data())
def test_no_student_is_below_the_floor_and_the_optimum_is_on_it(covariances, mixture, seed, data):
    """delta_F(U) >= delta*_F(N), with equality at the top eigenvectors of M_F."""
    prior, spectra, common = mixture
    moment = moment_of(prior, covariances(spectra, 2, seed), common)
    width = data.draw(st.integers(1, len(moment)))
    floor = interference.residual_floor(prior, spectra, common, width)
    basis = orthonormal(np.random.default_rng(seed), len(moment), width)
    assert interference.residual(basis, moment) >= floor - 1e-12
    np.testing.assert_allclose(
        interference.residual(basis, moment), left_over(basis, moment), atol=1e-12
    )
    best = np.linalg.eigh(moment)[1][:, len(moment) - width :]
    np.testing.assert_allclose(interference.residual(best, moment), floor, atol=1e-12)
    assert interference.residual(best, moment) >= 0


@SETTINGS
@given(mixtures(), SEEDS, st.floats(-3, 1), st.data())
def test_gradient_is_bounded_by_the_residual(covariances, mixture, seed, log_noise, data):
    """Theorem 4 at random bases and at bases close to the common optimum."""
    prior, spectra, common = mixture
    moment = moment_of(prior, covariances(spectra, 2, seed), common)
    width = data.draw(st.integers(1, len(moment) - 1))
    best = np.linalg.eigh(moment)[1][:, len(moment) - width :]
    noise = np.random.default_rng(seed).standard_normal(best.shape)
    basis = np.linalg.qr(best + 10**log_noise * noise)[0]
    norm = np.linalg.norm(interference.common_gradient(basis, moment))
    bound = interference.gradient_bound(basis, moment)
    assert norm <= bound * (1 + 1e-9) + 1e-12
    expected = 2 * np.sqrt(np.linalg.norm(moment, 2) * max(left_over(basis, moment), 0))
    np.testing.assert_allclose(bound, expected, rtol=1e-6, atol=1e-7)


def test_gradient_bound_is_reached_in_one_plane():
    """One common feature of eigenvalue mu at angle t: |G| = mu sin 2t, bound = 2 mu sin t."""
    mu, t = 0.7, 0.4
    basis, moment = np.array([[np.cos(t)], [np.sin(t)], [0]]), np.diag([mu, 0, 0])
    norm = np.linalg.norm(interference.common_gradient(basis, moment))
    np.testing.assert_allclose(norm, mu * np.sin(2 * t))
    np.testing.assert_allclose(interference.gradient_bound(basis, moment), 2 * mu * np.sin(t))


@settings(deadline=None, max_examples=40)
@given(mixtures(), SEEDS, st.data())
def test_common_gradient_is_the_descent_direction(covariances, mixture, seed, data):
    """Minus the central differences of Tr((I - P_U) M_F) in every entry of U."""
    prior, spectra, common = mixture
    moment = moment_of(prior, covariances(spectra, 1, seed), common)
    width = data.draw(st.integers(1, min(4, len(moment))))
    basis = orthonormal(np.random.default_rng(seed), len(moment), width)
    slope = np.empty_like(basis)
    for entry in np.ndindex(basis.shape):
        nudge = np.zeros_like(basis)
        nudge[entry] = 1e-5
        rise = left_over(basis + nudge, moment) - left_over(basis - nudge, moment)
        slope[entry] = rise / 2e-5
    np.testing.assert_allclose(
        interference.common_gradient(basis, moment), -slope, atol=1e-8, rtol=0
    )


@SETTINGS
@given(mixtures(), SEEDS, st.data())
def test_turning_towards_the_rare_direction_pays_iff_unstable(covariances, mixture, seed, data):
    """Proposition 6: second difference of the loss of F and r along v_N cos t + b_r sin t."""
    prior, spectra, common = mixture
    tasks_cov = covariances(spectra, 0, seed)
    rare = data.draw(st.sampled_from([k for k in range(len(prior)) if k not in common]))
    width = data.draw(st.integers(1, len(common) * spectra.shape[1]))
    common_moment = moment_of(prior, tasks_cov, common)
    values, vectors = np.linalg.eigh(common_moment)
    kept = vectors[:, ::-1][:, :width]
    rare_feature = np.linalg.eigh(tasks_cov[rare])[1][:, -1]
    both = common_moment + prior[rare] * tasks_cov[rare]

    def loss(angle):
        turned = kept.copy()
        turned[:, -1] = np.cos(angle) * kept[:, -1] + np.sin(angle) * rare_feature
        return left_over(turned, both)

    curvature = (loss(1e-3) - 2 * loss(0) + loss(-1e-3)) / 1e-6
    advantage = values[::-1][width - 1] - prior[rare] * spectra[rare, 0]
    np.testing.assert_allclose(curvature, 2 * advantage, atol=1e-6)
    if abs(advantage) > 1e-6:
        stable = interference.common_optimum_is_stable(prior, spectra, common, rare, width)
        assert stable == (curvature > 0)


@SETTINGS
@given(mixtures())
def test_critical_width_is_the_first_unstable_width(mixture):
    """Linear search over widths, with no eigenvalue left beyond the common features."""
    prior, spectra, common = mixture
    for rare in set(range(len(prior))) - set(common.tolist()):
        threshold = prior[rare] * spectra[rare, 0]
        mu = [*interference.common_spectrum(prior, spectra, common), 0.0]
        expected = next(n for n, value in enumerate(mu, 1) if value <= threshold * (1 + 1e-9))
        assert interference.critical_width(prior, spectra, common, rare) == expected
        np.testing.assert_allclose(
            interference.critical_residual(prior, spectra, common, rare),
            sum(mu[expected:]),
            atol=1e-14,
        )


def test_critical_width_of_the_paper_setting(paper_mixture):
    """At beta = 2, k j >= 32 for the first time at width 57, where two common features tie."""
    prior, spectra = paper_mixture(2)
    common = [0, 1, 2]
    assert interference.critical_width(prior, spectra, common, 31) == 57
    assert interference.common_optimum_is_stable(prior, spectra, common, 31, 56)
    assert not interference.common_optimum_is_stable(prior, spectra, common, 31, 57)
    discarded = sorted(k * j for k in (1, 2, 3) for j in range(1, 33))[57:]
    expected = prior[0] * sum(1 / product**2 for product in discarded)
    np.testing.assert_allclose(
        interference.critical_residual(prior, spectra, common, 31), expected, rtol=1e-12
    )


def test_tie_with_the_rare_feature_survives_rounding():
    """0.1 * 3 and 0.3 * 1 are equal on paper, so the first width is already critical."""
    assert 0.1 * 3 > 0.3
    assert interference.critical_width([0.1, 0.3, 0.6], [[3.0], [1.0], [1.0]], [0], 1) == 1


def test_floor_of_one_width_is_a_number_and_widths_may_exceed_the_features():
    """A whole number gives a float; beyond the common features nothing is left."""
    floor = interference.residual_floor([0.75, 0.25], [[4.0, 2.0], [1.0, 0.0]], [0], 1)
    assert isinstance(floor, float)
    assert floor == 1.5
    assert interference.residual_floor([0.75, 0.25], [[4.0, 2.0], [1.0, 0.0]], [0], 9) == 0
    assert interference.width_for_residual([0.75, 0.25], [[4.0, 2.0], [1.0, 0.0]], [1], 0.0) == 1


def test_residual_of_a_captured_task_is_not_negative():
    """Rounding below zero would make the bound a NaN."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        basis = orthonormal(rng, 12, 3)
        moment = basis @ np.diag([3.0, 2.0, 1.0]) @ basis.T
        assert 0 <= interference.residual(basis, moment) < 1e-12
        assert interference.gradient_bound(basis, moment) < 1e-5


@pytest.mark.parametrize("epsilon", [-0.1, float("nan")])
def test_epsilon_must_not_be_negative(epsilon):
    """A negative or undefined residual is never reached."""
    with pytest.raises(ValueError, match="epsilon must be at least 0"):
        interference.width_for_residual([1.0], [[1.0]], [0], epsilon)
