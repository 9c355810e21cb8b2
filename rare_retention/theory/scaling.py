"""Scaling laws of the loss in size and data, and what more of either can teach (Sec. 2, Fig. 1).

Sizes N are in parameters, data D in tokens, compute C = 6 N D in FLOPs, losses in nats. Arguments
are numbers or arrays that broadcast against each other, and so are results.
"""

import math
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rare_retention.theory.checks import Array

FLOPS_PER_PARAMETER_TOKEN = 6
"""Training FLOPs for each parameter and token: 2 forward, 4 backward."""

Learnable = Literal["data scaling", "model scaling", "undecided"]


def compute(parameters: ArrayLike, tokens: ArrayLike) -> Array:
    """Training compute C = 6 N D in FLOPs."""
    sizes, data = _positive("parameters", parameters), _positive("tokens", tokens)
    return np.asarray(FLOPS_PER_PARAMETER_TOKEN * sizes * data)


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = L0 + A / N^alpha + B / D^beta.

    Attributes:
        l0: irreducible loss L0 in nats, at least 0.
        a: A, the nats that a model of one parameter adds.
        alpha: exponent of the size.
        b: B, the nats that training on one token adds.
        beta: exponent of the data.

    Raises:
        ValueError: L0 is negative, or another is not positive, or one is not finite.
    """

    l0: float
    a: float
    alpha: float
    b: float
    beta: float

    def __post_init__(self) -> None:
        values = astuple(self)
        if not (all(map(math.isfinite, values)) and values[0] >= 0 and min(values[1:]) > 0):
            raise ValueError(f"expected finite L0 >= 0 and A, alpha, B, beta > 0, got {values}")

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> Array:
        """Loss L(N, D)."""
        missing = self.b * _positive("tokens", tokens) ** -self.beta
        return np.asarray(self.infinite_data_loss(parameters) + missing)

    def infinite_data_loss(self, parameters: ArrayLike) -> Array:
        """Loss L_inf(N) = L0 + A N^-alpha, which no data takes a size below."""
        return np.asarray(self.l0 + self.a * _positive("parameters", parameters) ** -self.alpha)

    def compute_optimal_loss(self, parameters: ArrayLike) -> Array:
        """Loss L_C(N) of a size at the data for which it is the compute-optimal one.

        The optimality condition alpha A N^-alpha = beta B D^-beta turns the data's term into
        alpha / beta times the size's, so L_C(N) = L0 + (1 + alpha / beta) A N^-alpha: its excess
        over L0 falls with the exponent gamma = alpha of L_inf.
        """
        excess = self.a * _positive("parameters", parameters) ** -self.alpha
        return np.asarray(self.l0 + (1 + self.alpha / self.beta) * excess)

    def optimal_tokens(self, parameters: ArrayLike) -> Array:
        """Data D in tokens for which a size N is the compute-optimal one."""
        sizes = _positive("parameters", parameters)
        ratio = self.beta * self.b / (self.alpha * self.a)
        return np.asarray((ratio * sizes**self.alpha) ** (1 / self.beta))

    def frontier(self, flops: ArrayLike) -> tuple[Array, Array]:
        """Compute-optimal size N*(C) and data D*(C) = C / (6 N*(C)).

        N* = (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^(beta / (alpha + beta)).

        Args:
            flops: C.
        """
        product = _positive("flops", flops) / FLOPS_PER_PARAMETER_TOKEN
        ratio = self.alpha * self.a / (self.beta * self.b)
        sizes = np.asarray((ratio * product**self.beta) ** (1 / (self.alpha + self.beta)))
        return sizes, np.asarray(product / sizes)

    def gain(self, small: ArrayLike, large: ArrayLike) -> Array:
        """What the larger size gains at its optimum, L_C(N_s) - L_C(N_l)."""
        return np.asarray(self.compute_optimal_loss(small) - self.compute_optimal_loss(large))

    def shortfall(self, small: ArrayLike, large: ArrayLike) -> Array:
        """Loss of a small size after unlimited data less that of a large one at its optimal data.

        L_inf(N_s) - L_C(N_l), in nats: above 0 no amount of data lets the small size catch up,
        below 0 some amount does.

        Args:
            small: N_s, in parameters.
            large: N_l, in parameters; the two are broadcast against each other.
        """
        return np.asarray(self.infinite_data_loss(small) - self.compute_optimal_loss(large))

    def learnability(self, small: float, large: float, epsilon: float = 0.0) -> Learnable:
        """How a smaller size can come to what a larger one learns (Sec. 2).

        Args:
            small: N_s.
            large: N_l, above N_s.
            epsilon: nats by which the smaller must fall short for ever, at least 0.

        Returns:
            "data scaling" where L_C(N_s) > L_C(N_l) and L_inf(N_s) < L_C(N_l); "model scaling"
            where L_inf(N_s) - L_C(N_l) > epsilon; "undecided" in the margin between the two.
        """
        gain, shortfall = float(self.gain(small, large)), float(self.shortfall(small, large))
        return decide((gain, gain), (shortfall, shortfall), epsilon)

    def largest_outscaled(self, large: ArrayLike, epsilon: float = 0.0) -> Array:
        """Size N_s*(epsilon) below which only a larger model learns what `large` does.

        Solves L_inf(N_s) - L_C(N_l) = epsilon; all smaller sizes exceed it. With epsilon = 0 this
        is N_l (1 + alpha / beta)^(-1 / alpha).
        """
        excess = self.compute_optimal_loss(large) - self.l0 + checked_epsilon(epsilon)
        return np.asarray((self.a / excess) ** (1 / self.alpha))


def decide(
    gain: tuple[float, float], shortfall: tuple[float, float], epsilon: float = 0.0
) -> Learnable:
    """The verdict on a pair of sizes from the ends of an interval about each difference.

    Args:
        gain: low and high end of L_C(N_s) - L_C(N_l), nats; equal where it is known exactly.
        shortfall: low and high end of L_inf(N_s) - L_C(N_l), nats.
        epsilon: see `ScalingLaw.learnability`.
    """
    if shortfall[0] > checked_epsilon(epsilon):
        return "model scaling"
    if gain[0] > 0 and shortfall[1] < 0:
        return "data scaling"
    return "undecided"


def checked_epsilon(epsilon: float) -> float:
    """Returns a margin in nats that is finite and at least 0."""
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"epsilon must be a finite number of nats, at least 0, got {epsilon}")
    return float(epsilon)


def _positive(name: str, values: ArrayLike) -> Array:
    numbers = np.asarray(values, np.float64)
    if not np.all(numbers > 0):
        raise ValueError(f"{name} must be above 0")
    return numbers
