"""What the common tasks F leave over, and when a rare task gets it (Theorem 4 to Proposition 6).

M_F = sum over k in F of pi_k C_k is the common tasks' moment. Task blocks are orthogonal, so its
non-zero eigenvalues are the common tasks' utilities.
"""

from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from rare_retention.theory.checks import (
    Array,
    IntArray,
    checked_basis,
    checked_common,
    checked_count,
    checked_counts,
    checked_rare,
)
from rare_retention.theory.utility import TIE_RTOL, tail_sums, utilities


def common_spectrum(prior: ArrayLike, spectra: ArrayLike, common: ArrayLike) -> Array:
    """Eigenvalues mu^F of M_F, descending [|F| d_T]; the other directions of R^D have eigenvalue 0.

    Args:
        prior: frequencies [K].
        spectra: eigenvalues [K, d_T].
        common: indices of the tasks in F, as from `utility.common_set`.
    """
    value = utilities(prior, spectra)
    return np.sort(value[checked_common(common, len(value))], axis=None)[::-1]


@overload
def residual_floor(
    prior: ArrayLike, spectra: ArrayLike, common: ArrayLike, width: int
) -> float: ...
@overload
def residual_floor(
    prior: ArrayLike, spectra: ArrayLike, common: ArrayLike, width: IntArray
) -> Array: ...
def residual_floor(
    prior: ArrayLike, spectra: ArrayLike, common: ArrayLike, width: int | IntArray
) -> float | Array:
    """Least residual delta*_F(N) = sum_{i > N} mu^F_i of a width or several (Corollary 5)."""
    floors = tail_sums(common_spectrum(prior, spectra, common))
    floor: Array = floors[np.minimum(checked_counts("width", width), len(floors) - 1)]
    return floor if floor.ndim else float(floor)


def width_for_residual(
    prior: ArrayLike, spectra: ArrayLike, common: ArrayLike, epsilon: float
) -> int:
    """Width N_F(epsilon) = min{N : delta*_F(N) <= epsilon} (Corollary 5), epsilon at least 0."""
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be at least 0, got {epsilon}")
    return int(np.argmax(tail_sums(common_spectrum(prior, spectra, common)) <= epsilon))


def common_optimum_is_stable(
    prior: ArrayLike,
    spectra: ArrayLike,
    common: ArrayLike,
    rare: int,
    width: int,
) -> bool:
    """Whether pi_r lambda_{r,1} < mu^F_N: the optimum of F resists the rare task (Proposition 6).

    Where it does not, turning the least useful common feature towards the rare one lowers the loss,
    or at equality leaves it the same.

    Args:
        prior: frequencies [K].
        spectra: eigenvalues [K, d_T].
        common: indices of the tasks in F.
        rare: index of a task outside F.
        width: N, at least 1.
    """
    return checked_count("width", width, 1) < critical_width(prior, spectra, common, rare)


def critical_width(prior: ArrayLike, spectra: ArrayLike, common: ArrayLike, rare: int) -> int:
    """Width N_r^crit = min{N : mu^F_N <= pi_r lambda_{r,1}}, from 1 to |F| d_T + 1 (Proposition 6).

    Common features tied with the rare one, to a relative 1e-9, count as not above it. This is a
    point on the axis of the common tasks' residual, not the width at which the rare task appears in
    the full mixture; that one is `utility.staircase`.
    """
    value = utilities(prior, spectra)
    index = checked_rare(rare, checked_common(common, len(value)), len(value))
    above = common_spectrum(prior, spectra, common) * (1 - TIE_RTOL) > value[index, 0]
    return int(np.sum(above)) + 1


def critical_residual(prior: ArrayLike, spectra: ArrayLike, common: ArrayLike, rare: int) -> float:
    """Residual delta*_F(N_r^crit), the vertical line of Fig. 3 of the paper.

    What the common tasks still lack at the critical width of Proposition 6: students with less of
    it, left of the line, can keep the rare task.

    Args:
        prior: frequencies [K].
        spectra: eigenvalues [K, d_T].
        common: indices of the common tasks F.
        rare: index of the rare task.
    """
    return residual_floor(prior, spectra, common, critical_width(prior, spectra, common, rare))


def residual(basis: ArrayLike, moment: ArrayLike) -> float:
    """Residual delta_F(U) = Tr((I - P_U) M_F) that a student leaves of the common tasks.

    Args:
        basis: U [D, N] with orthonormal columns, such as orth(W^T).
        moment: M_F [D, D], symmetric.
    """
    u, m = checked_basis(basis, moment)
    # Rounding can take a residual of nothing below zero, and the bound takes its root.
    return max(float(np.trace(m) - np.sum(u * (m @ u))), 0.0)


def common_gradient(basis: ArrayLike, moment: ArrayLike) -> Array:
    """Common-task gradient G_F(U) = 2 (I - P_U) M_F U [D, N] (Theorem 4).

    With the paper's sign: the direction that lowers the common loss, minus the derivative of
    Tr((I - P_U) M_F). It holds for orthonormal U and optimal decoders; the gradient of a trained,
    unconstrained encoder is another quantity.
    """
    u, m = checked_basis(basis, moment)
    pull = m @ u
    return 2 * (pull - u @ (u.T @ pull))


def gradient_bound(basis: ArrayLike, moment: ArrayLike) -> float:
    """Bound 2 sqrt(lambda_1(M_F) delta_F(U)) on the Frobenius norm of G_F(U) (Theorem 4)."""
    u, m = checked_basis(basis, moment)
    return 2 * float(np.sqrt(np.linalg.eigvalsh(m)[-1] * residual(u, m)))
