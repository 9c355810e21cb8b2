"""What a user can get wrong raises ValueError with one clear line."""

import numpy as np
import pytest

from rare_retention.theory import interference, utility

PRIOR = [0.6, 0.3, 0.1]
SPECTRA = [[3.0, 1.0], [2.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("prior", "spectra", "message"),
    [
        ([0.6, 0.3, 0.2], SPECTRA, "prior must sum to 1, got 1.1"),
        ([0.6, 0.5, -0.1], SPECTRA, "prior must hold non-negative"),
        ([0.6, float("nan"), 0.4], SPECTRA, "prior must hold non-negative"),
        ([], SPECTRA, r"prior must have shape \[K\]"),
        ([PRIOR], SPECTRA, r"prior must have shape \[K\]"),
        ([0.6, 0.4], SPECTRA, "prior has 2 tasks, spectra have 3"),
        (PRIOR, SPECTRA[0], r"spectra must have shape \[K, d_T\]"),
        (PRIOR, np.ones((3, 0)), r"spectra must have shape \[K, d_T\]"),
        (PRIOR, [[3.0, 1.0], [1.0, 2.0], [1.0, 0.0]], "spectra must be descending"),
        (PRIOR, [[3.0, 1.0], [1.0, -2.0], [1.0, 0.0]], "non-negative eigenvalues"),
        (PRIOR, [[np.inf, 1.0], [1.0, 1.0], [1.0, 0.0]], "finite"),
        (PRIOR, [[3.0, 1.0], [0.0, 0.0], [1.0, 0.0]], "spectra of task 1 are all zero"),
    ],
)
def test_mixture_that_is_none(prior, spectra, message):
    """Every entry point that takes a mixture refuses it alike."""
    calls = (
        lambda: utility.utilities(prior, spectra),
        lambda: utility.retained(prior, spectra, 1),
        lambda: utility.optima(prior, spectra, 1),
        lambda: utility.mixture_loss(prior, spectra, 1),
        lambda: utility.staircase(prior, spectra, 1),
        lambda: interference.critical_width(prior, spectra, [0], 1),
    )
    for call in calls:
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: utility.retained(PRIOR, SPECTRA, -1), "width must be at least 0, got -1"),
        (lambda: utility.retained(PRIOR, SPECTRA, 1.5), "width must be a whole number, got 1.5"),
        (lambda: utility.optima(PRIOR, SPECTRA, 1, rtol=-1), "rtol must be at least 0"),
        (lambda: utility.staircase(PRIOR, SPECTRA, 0), "m must be at least 1, got 0"),
        (lambda: utility.power_prior(0, 1.0), "tasks must be at least 1"),
        (lambda: utility.power_spectrum(3, -1.0), "spectra must be descending"),
        (lambda: utility.effective_directions([1.0], 0), "share must be above 0"),
        (lambda: utility.common_set(PRIOR, 1.1), "mass must be above 0 and at most 1"),
        (lambda: utility.predicted_loss(SPECTRA, [0, 1]), r"counts must have shape \[..., 3\]"),
        (lambda: utility.predicted_loss(SPECTRA, 1), r"counts must have shape \[..., 3\]"),
        (lambda: utility.predicted_loss(SPECTRA, [0, 1, 3]), "counts must be between 0 and 2"),
        (lambda: utility.predicted_signal(SPECTRA, [0, 1, 0.5]), "counts must hold whole numbers"),
        (lambda: utility.normalised_signal(0.5, 64, 64), "width must be between 0 and 63"),
        (lambda: utility.first_on_grid([1], [-1, 2]), "grid must be at least 0"),
        (lambda: interference.residual_floor(PRIOR, SPECTRA, [0], -1), "width must be at least 0"),
        (lambda: interference.common_spectrum(PRIOR, SPECTRA, []), "common must list distinct"),
        (lambda: interference.common_spectrum(PRIOR, SPECTRA, [0, 0]), "distinct tasks"),
        (lambda: interference.common_spectrum(PRIOR, SPECTRA, [3]), "common must be between"),
        (lambda: interference.critical_width(PRIOR, SPECTRA, [0], 0), "rare task 0 is in the"),
        (lambda: interference.critical_width(PRIOR, SPECTRA, [0], 3), "rare must be below"),
        (
            lambda: interference.common_optimum_is_stable(PRIOR, SPECTRA, [0], 2, 0),
            "width must be at least 1",
        ),
        (lambda: interference.residual(np.ones((2, 1)), np.eye(2)), "orthonormal columns"),
        (lambda: interference.residual(np.eye(3)[:, :1], np.eye(2)), "do not match"),
        (
            lambda: interference.common_gradient(np.eye(2)[:, :1], [[1.0, 1.0], [0.0, 1.0]]),
            "symmetric",
        ),
    ],
)
def test_arguments_that_cannot_be(call, message):
    """Each names the argument and what it must be."""
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_float32_inputs_are_accepted():
    """Priors and bases from single precision pass, and are worked on in double."""
    prior = (np.arange(1, 33, dtype=np.float32) ** -2) / np.sum(np.arange(1.0, 33) ** -2)
    values = utility.utilities(prior.astype(np.float32), np.ones((32, 1), np.float32))
    assert values.dtype == np.float64
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 8)))[0].astype(np.float32)
    assert interference.common_gradient(basis, np.eye(64, dtype=np.float32)).dtype == np.float64
