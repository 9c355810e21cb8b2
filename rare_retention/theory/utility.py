"""Which features a student of width N retains: those of largest utility (Theorem 3).

A feature is one eigendirection of one task. Tasks k and directions j are 0-based indices here,
widths N and the level m of a staircase are counts. Utilities closer than a relative 1e-9 count as
tied: products such as 1/24 = 1/6 * 1/4 are equal on paper and may differ in their last bit here.
"""

import numpy as np
from numpy.typing import ArrayLike

from rare_retention.theory.checks import (
    Array,
    IntArray,
    checked_count,
    checked_counts,
    checked_mixture,
    checked_prior,
    checked_share,
    checked_spectra,
)

TIE_RTOL = 1e-9
MAX_OPTIMA = 4096
# Sums may reach a threshold on paper and miss it by rounding: eight tenths add up to less than 0.8.
SUM_RTOL = 1e-12


def power_prior(tasks: int, exponent: float) -> Array:
    """Task frequencies pi_k ~ (k + 1)^-exponent [K], summing to one (the paper's beta)."""
    weights = _power("tasks", tasks, exponent)
    return checked_prior(weights / weights.sum())


def power_spectrum(directions: int, exponent: float) -> Array:
    """Eigenvalues lambda_j = (j + 1)^-exponent [d_T] (the paper's alpha, at least 0)."""
    return checked_spectra(_power("directions", directions, exponent)[None]).ravel()


def effective_directions(spectrum: ArrayLike, share: float = 0.9) -> int:
    """Smallest number of leading directions that carry `share` of a spectrum's energy.

    Args:
        spectrum: eigenvalues [d_T] of one task, descending.
        share: in (0, 1].
    """
    energy = np.cumsum(checked_spectra(np.asarray(spectrum)[None])[0])
    return _first_reaching(energy, checked_share("share", share) * energy[-1])


def utilities(prior: ArrayLike, spectra: ArrayLike) -> Array:
    """Utilities u_{k,j} = pi_k lambda_{k,j} [K, d_T] (Theorem 3)."""
    pi, values = checked_mixture(prior, spectra)
    return pi[:, None] * values


def retained(prior: ArrayLike, spectra: ArrayLike, width: int) -> IntArray:
    """Retained features n_k(N) [K] of the best width-N student (Theorem 3).

    Ties go to the more frequent task, then to the lower task index. Features of zero utility are
    never retained, so the counts sum to N or to the number of useful features, if that is smaller.
    """
    order = _retention_order(utilities(prior, spectra), np.asarray(prior, np.float64))
    tasks, directions = np.shape(spectra)
    kept = order[: checked_count("width", width)]
    return np.bincount(kept // directions, minlength=tasks).astype(np.int64)


def optima(prior: ArrayLike, spectra: ArrayLike, width: int, rtol: float = TIE_RTOL) -> IntArray:
    """Every choice of retained counts n_k that minimises the mixture loss L_N (Theorem 3).

    More than one where utilities of different tasks tie at the cut.

    Args:
        prior: frequencies [K].
        spectra: eigenvalues [K, d_T].
        width: the student's N.
        rtol: neighbours in the order of utility tie up to this relative difference.

    Returns:
        Distinct rows [T, K]; with the default `rtol` the first is `retained`.

    Raises:
        ValueError: there are more than MAX_OPTIMA of them.
    """
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol must be at least 0 and below 1, got {rtol}")
    value = utilities(prior, spectra)
    rank = _tied_ranks(value, rtol)
    slots = min(checked_count("width", width), int(np.sum(value > 0)))
    if slots == 0:
        return np.zeros((1, len(value)), np.int64)
    cut = np.sort(rank, axis=None)[slots - 1]
    certain = np.sum(rank < cut, axis=1)
    tied = np.sum(rank == cut, axis=1)
    by_frequency = np.argsort(_tied_ranks(np.asarray(prior, np.float64), TIE_RTOL), kind="stable")
    shares = _fillings(tied[by_frequency].tolist(), slots - int(certain.sum()))
    rows = np.tile(certain.astype(np.int64), (len(shares), 1))
    rows[:, by_frequency] += np.array(shares, np.int64)
    return rows


def predicted_loss(spectra: ArrayLike, counts: ArrayLike) -> Array:
    """Task losses l*_k = sum of lambda_{k,j} over the features not retained (Theorem 3).

    Args:
        spectra: eigenvalues [K, d_T].
        counts: retained features n_k [..., K], for instance `retained` at several widths.

    Returns:
        Losses [..., K], in units of the target's energy.
    """
    values = checked_spectra(spectra)
    n = checked_counts("counts", counts, values.shape[1])
    if n.ndim == 0 or n.shape[-1] != len(values):
        raise ValueError(f"counts must have shape [..., {len(values)}], got {n.shape}")
    return tail_sums(values)[np.arange(len(values)), n]


def predicted_signal(spectra: ArrayLike, counts: ArrayLike) -> Array:
    """Signals s_k = 1 - l*_k / Tr(C_k) [..., K], the captured share of each task's energy."""
    return 1 - predicted_loss(spectra, counts) / np.asarray(spectra, np.float64).sum(axis=-1)


def mixture_loss(prior: ArrayLike, spectra: ArrayLike, width: int) -> float:
    """Least mixture loss min_U L_N(U): the utility of all that is not retained (Theorem 3)."""
    losses = predicted_loss(spectra, retained(prior, spectra, width))
    return float(np.asarray(prior, np.float64) @ losses)


def staircase(prior: ArrayLike, spectra: ArrayLike, m: int) -> IntArray:
    """Widths N*_k(m) = min{N : n_k(N) >= m} [K] from which task k has m features (Theorem 3).

    Ties go the way of `retained`. A task with fewer than m features of positive utility gets 0: no
    width is enough. With rank-1 tasks (d_T = 1) of equal eigenvalue, N*_k(1) is the task's place in
    the order of frequency, counted from 1: the straight staircase of Fig. 18.
    """
    level = checked_count("m", m, 1)
    value = utilities(prior, spectra)
    order = _retention_order(value, np.asarray(prior, np.float64))
    place = np.zeros(value.shape, np.int64)
    place.flat[order] = np.arange(1, len(order) + 1)
    return place[:, level - 1] if level <= value.shape[1] else np.zeros(len(value), np.int64)


def first_on_grid(needed: ArrayLike, grid: ArrayLike) -> IntArray:
    """First width of a grid that is at least the one needed (Fig. 18).

    Args:
        needed: widths of any shape, such as a `staircase`; 0 means that no width is enough.
        grid: the widths of a study [W], in any order.

    Returns:
        Widths of the shape of `needed`, 0 where the grid ends before.
    """
    widths = np.append(np.sort(checked_counts("grid", grid)), 0)
    need = checked_counts("needed", needed)
    return np.where(need == 0, 0, widths[np.searchsorted(widths[:-1], need)])


def normalised_signal(signal: ArrayLike, width: ArrayLike, inputs: int) -> Array:
    """Signals s~ = (s - N/D) / (1 - N/D): 0 for a random encoder, 1 for a captured task.

    Args:
        signal: captured shares s, any shape.
        width: N below D, a number or an array that broadcasts against `signal`.
        inputs: the input dimension D.
    """
    dimension = checked_count("inputs", inputs, 1)
    chance = checked_counts("width", width, dimension - 1) / dimension
    return (np.asarray(signal, np.float64) - chance) / (1 - chance)


def common_set(prior: ArrayLike, mass: float = 0.8) -> IntArray:
    """The common tasks F: the fewest top-prior tasks whose frequencies reach `mass`.

    Returned most frequent first, ties by index. For K = 32 and beta = 0.5, 1, 1.5, 2 the definition
    gives 22, 14, 6 and 3 tasks. The paper, which states the same definition, lists 6, 3, 2 and 2,
    while its main text uses 3 at beta = 2; this package follows the definition.
    """
    pi = checked_prior(prior)
    order = np.argsort(_tied_ranks(pi, TIE_RTOL), kind="stable")
    return order[: _first_reaching(np.cumsum(pi[order]), checked_share("mass", mass) * pi.sum())]


def tail_sums(values: Array) -> Array:
    """Sums of all but the first n entries of the last axis, n = 0 .. d: [..., d] -> [..., d + 1].

    Summed from the small end, so that what is left of a steep spectrum keeps its precision.
    """
    tails = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    return np.concatenate([tails, np.zeros_like(values[..., :1])], axis=-1)


def _power(name: str, count: int, exponent: float) -> Array:
    """The powers i^-exponent of i = 1 .. count; `name` is what an error calls the count."""
    ranks = np.arange(1, checked_count(name, count, 1) + 1, dtype=np.float64)
    return np.power(ranks, -exponent)


def _first_reaching(ascending: Array, threshold: float) -> int:
    """Number of terms after which cumulative sums reach a threshold, up to rounding."""
    return int(np.searchsorted(ascending, threshold * (1 - SUM_RTOL))) + 1


def _tied_ranks(values: Array, rtol: float) -> IntArray:
    """Ranks of the shape of `values`, 0 for the largest; ties share one, the next is one more."""
    order = np.argsort(-values, axis=None, kind="stable")
    descending = values.flat[order]
    ranks = np.zeros(values.shape, np.int64)
    ranks.flat[order[1:]] = np.cumsum(descending[1:] < descending[:-1] * (1 - rtol))
    return ranks


def _retention_order(value: Array, prior: Array) -> IntArray:
    """Flat indices of the useful features in the order in which growing students retain them."""
    task, direction = np.indices(value.shape)
    frequency = _tied_ranks(prior, TIE_RTOL)[task]
    keys = (direction, task, frequency, _tied_ranks(value, TIE_RTOL))
    order = np.lexsort([key.ravel() for key in keys])
    return order[value.flat[order] > 0]


def _fillings(room: list[int], total: int) -> list[tuple[int, ...]]:
    """Every way to place `total` like items in bins of the given room, first bins filled first."""
    rows: list[tuple[int, ...]] = [()]
    for i, most in enumerate(room):
        # Leaving no more than the later bins can hold makes every row one that can be completed.
        later = sum(room[i + 1 :])
        left = [total - sum(row) for row in rows]
        rows = [
            (*row, taken)
            for row, rest in zip(rows, left, strict=True)
            for taken in range(min(most, rest), max(0, rest - later) - 1, -1)
        ]
        if len(rows) > MAX_OPTIMA:
            raise ValueError(f"more than {MAX_OPTIMA} optima: too many utilities tie at the cut")
    return rows
