"""Linear probes: can a symbol's value be read off the residual stream by a line? (Fig. 7a).

The value is regressed on the first principal components of the residuals. Instances of one symbol
are nearly equal there, so folds are over symbols: a probe is scored on symbols that it has never
seen, and an R^2 above 0 says that the values lie in order, not that they can be looked up. The
in-sample R^2, which lookup alone lifts to (components) / (symbols - 1), is reported beside it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

COMPONENTS = 50
FOLDS = 10
_ROUNDING = 1e-6  # of the largest singular value: what is below it is float32's noise


class Fit(NamedTuple):
    """How well values can be read off.

    Attributes:
        r2: cross-validated over symbols; below 0 where the mean of all values does better.
        in_sample: on the very instances that the probe was fitted to.
        components: principal components used.
    """

    r2: float
    in_sample: float
    components: int


def probe(
    features: ArrayLike,
    values: ArrayLike,
    symbols: ArrayLike,
    components: int = COMPONENTS,
    seed: int = 0,
) -> Fit:
    """Regresses values on principal components of features.

    With few symbols fewer components are used, half as many as there are symbols, the share that
    the paper's 50 are of its 100: with more, a probe can fit any values.

    Args:
        features: residuals [n, D].
        values: of what is probed [n], such as val(TOK), or the sum of two.
        symbols: which symbol, or which sum, each instance is one of [n]; none is in two folds.
        components: most principal components.
        seed: of the folds.
    """
    x, y = np.asarray(features, np.float64), np.asarray(values, np.float64)
    names, owner = np.unique(np.asarray(symbols), return_inverse=True)
    used = max(1, min(components, x.shape[1], len(names) // 2))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = np.empty(len(names), np.int64)
    fold[order] = np.arange(len(names)) % FOLDS
    read = np.empty(len(y))
    for held_out in range(min(FOLDS, len(names))):
        test = fold[owner] == held_out
        read[test] = _read(x[~test], y[~test], x[test], used)
    return Fit(_r2(y, read), _r2(y, _read(x, y, x, used)), used)


def _read(x: Array, y: Array, at: Array, components: int) -> Array:
    """Values at `at` by least squares on the principal components of `x`."""
    mean = x.mean(0)
    u, s, v = np.linalg.svd(x - mean, full_matrices=False)
    kept = (s > _ROUNDING * s[0]) & (np.arange(len(s)) < components)
    slope = v[kept].T @ (u[:, kept].T @ (y - y.mean()) / s[kept])
    return y.mean() + (at - mean) @ slope


def _r2(y: Array, read: Array) -> float:
    return 1 - float(np.square(y - read).sum() / np.square(y - y.mean()).sum())
