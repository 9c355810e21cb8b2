"""Random mixtures whose task blocks are orthogonal in a random rotation of the input space."""

from collections.abc import Callable

import numpy as np
import pytest


def _covariances(spectra: np.ndarray, spare: int, seed: int) -> np.ndarray:
    tasks, directions = spectra.shape
    inputs = tasks * directions + spare
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((inputs, inputs)))
    blocks = rotation[:, : tasks * directions].reshape(inputs, tasks, directions)
    return np.einsum("ikj,kj,lkj->kil", blocks, spectra, blocks)


@pytest.fixture(scope="session")
def covariances() -> Callable[[np.ndarray, int, int], np.ndarray]:
    """Function of (spectra [K, d_T], spare, seed) that gives C_k [K, D, D], D = K d_T + spare."""
    return _covariances


@pytest.fixture(scope="session")
def paper_mixture() -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    """Function of beta that gives the paper's prior and spectra (K = 32, d_T = 32, alpha = 2).

    Written out here rather than taken from the package.
    """

    def mixture(beta: float) -> tuple[np.ndarray, np.ndarray]:
        weights = np.array([(k + 1.0) ** -beta for k in range(32)])
        spectrum = np.array([1 / (j + 1.0) ** 2 for j in range(32)])
        return weights / weights.sum(), np.tile(spectrum, (32, 1))

    return mixture
