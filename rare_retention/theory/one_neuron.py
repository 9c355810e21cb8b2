"""One neuron between a common and a rare task (Example 7, Fig. 11).

The neuron u = cos(t) a + sin(t) b turns between orthonormal features, a of the common and b of the
rare task, whose losses are |a - (a.u) u|^2 = sin^2 t and |b - (b.u) u|^2 = cos^2 t. Angles are in
radians. Arguments are numbers or arrays that broadcast against each other, and so are results.
"""

import numpy as np
from numpy.typing import ArrayLike

from rare_retention.theory.checks import Array, checked_counts


def common_step(angle: ArrayLike, rate: ArrayLike) -> Array:
    """Angle t - eta sin 2t after a gradient step of rate eta on the common task."""
    t = np.asarray(angle, np.float64)
    return np.asarray(t - _checked_rate(rate) * np.sin(2 * t))


def rare_step(angle: ArrayLike, rate: ArrayLike) -> Array:
    """Angle t + eta sin 2t after a gradient step of rate eta on the rare task."""
    t = np.asarray(angle, np.float64)
    return np.asarray(t + _checked_rate(rate) * np.sin(2 * t))


def drift(angle: ArrayLike, rate: ArrayLike, common: ArrayLike, rare: ArrayLike) -> Array:
    """Expected change of the angle in a step, eta (q - p) sin 2t.

    Args:
        angle: t.
        rate: eta.
        common: probability p that the step is on the common task.
        rare: probability q that it is on the rare task; p + q is at most 1.
    """
    p, q = np.asarray(common, np.float64), np.asarray(rare, np.float64)
    if not (np.all(p >= 0) and np.all(q >= 0) and np.all(p + q <= 1 + 1e-9)):
        raise ValueError("common and rare must be probabilities that sum to at most 1")
    return np.asarray(_checked_rate(rate) * (q - p) * np.sin(2 * np.asarray(angle, np.float64)))


def small_angle_decay(angle: ArrayLike, rate: ArrayLike, steps: ArrayLike) -> Array:
    """Angle (1 - 2 eta)^G t_0 after G common steps, for small t_0."""
    gap = checked_counts("steps", steps)
    return np.asarray((1 - 2 * _checked_rate(rate)) ** gap * np.asarray(angle, np.float64))


def exponential_decay(angle: ArrayLike, rate: ArrayLike, steps: ArrayLike) -> Array:
    """Angle exp(-2 eta G) t_0 after G common steps, for small t_0 and small eta."""
    gap = checked_counts("steps", steps)
    return np.asarray(np.exp(-2 * _checked_rate(rate) * gap) * np.asarray(angle, np.float64))


def _checked_rate(rate: ArrayLike) -> Array:
    eta = np.asarray(rate, np.float64)
    if not np.all(eta >= 0):
        raise ValueError("rate must be at least 0")
    return eta
