"""The conditions on what the theory is given; whatever breaks one is a ValueError of one line."""

import operator
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Priors may come from float32 arithmetic, bases from a float32 factorisation.
PRIOR_TOLERANCE = 1e-6
BASIS_TOLERANCE = 1e-5


def checked_prior(prior: ArrayLike) -> Array:
    """Returns task frequencies pi [K] in float64: not negative, summing to one."""
    pi = np.asarray(prior, np.float64)
    if pi.ndim != 1 or pi.size == 0:
        raise ValueError(f"prior must have shape [K] with K >= 1, got {pi.shape}")
    if not np.all(pi >= 0):
        raise ValueError("prior must hold non-negative numbers")
    if not abs(pi.sum() - 1) <= PRIOR_TOLERANCE:
        raise ValueError(f"prior must sum to 1, got {pi.sum():.6g}")
    return pi


def checked_spectra(spectra: ArrayLike) -> Array:
    """Returns eigenvalues [K, d_T] in float64: finite, descending, at least 0, not all 0."""
    values = np.asarray(spectra, np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"spectra must have shape [K, d_T], none of them 0, got {values.shape}")
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise ValueError("spectra must hold finite, non-negative eigenvalues")
    if np.any(np.diff(values, axis=1) > 0):
        raise ValueError("spectra must be descending within each task")
    if np.any(values[:, 0] == 0):
        raise ValueError(f"spectra of task {np.argmin(values[:, 0])} are all zero")
    return values


def checked_mixture(prior: ArrayLike, spectra: ArrayLike) -> tuple[Array, Array]:
    """Returns prior [K] and spectra [K, d_T] of the same K tasks, each checked."""
    pi, values = checked_prior(prior), checked_spectra(spectra)
    if len(pi) != len(values):
        raise ValueError(f"prior has {len(pi)} tasks, spectra have {len(values)}")
    return pi, values


def checked_count(name: str, value: SupportsIndex, least: int = 0) -> int:
    """Returns a whole number that is at least `least`."""
    try:
        count = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
    return count


def checked_counts(name: str, values: ArrayLike, most: int | None = None) -> IntArray:
    """Returns an array of whole numbers from 0 to `most` (without limit if None)."""
    counts = np.asarray(values)
    if counts.size and not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"{name} must hold whole numbers, got {counts.dtype}")
    if np.any(counts < 0) or (most is not None and np.any(counts > most)):
        limit = "at least 0" if most is None else f"between 0 and {most}"
        raise ValueError(f"{name} must be {limit}, got {counts.min()} to {counts.max()}")
    return counts.astype(np.int64)


def checked_share(name: str, share: float) -> float:
    """Returns a share in (0, 1]."""
    if not 0 < share <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1, got {share}")
    return float(share)


def checked_common(common: ArrayLike, tasks: int) -> IntArray:
    """Returns the common set F as distinct task indices (0-based)."""
    indices = checked_counts("common", common, tasks - 1)
    if indices.ndim != 1 or indices.size == 0 or len(np.unique(indices)) != indices.size:
        raise ValueError(f"common must list distinct tasks, got {indices.tolist()}")
    return indices


def checked_rare(rare: SupportsIndex, common: IntArray, tasks: int) -> int:
    """Returns the index of a rare task: one of the K tasks outside the common set."""
    index = checked_count("rare", rare)
    if index >= tasks:
        raise ValueError(f"rare must be below the number of tasks, {tasks}, got {index}")
    if index in common:
        raise ValueError(f"rare task {index} is in the common set {common.tolist()}")
    return index


def checked_basis(basis: ArrayLike, moment: ArrayLike) -> tuple[Array, Array]:
    """Returns U [D, N] with orthonormal columns and a symmetric M [D, D]."""
    u, m = np.asarray(basis, np.float64), np.asarray(moment, np.float64)
    if u.ndim != 2 or m.shape != (len(u), len(u)):
        raise ValueError(f"basis [D, N] and moment [D, D] do not match: {u.shape}, {m.shape}")
    if not np.allclose(u.T @ u, np.eye(u.shape[1]), rtol=0, atol=BASIS_TOLERANCE):
        raise ValueError("basis must have orthonormal columns")
    if not np.allclose(m, m.T, rtol=0, atol=BASIS_TOLERANCE * np.max(np.abs(m), initial=0)):
        raise ValueError("moment must be symmetric")
    return u, m
