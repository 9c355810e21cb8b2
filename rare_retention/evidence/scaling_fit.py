"""Scaling laws fitted to measured losses, and what they say of pairs of sizes (Sec. 2, Fig. 1).

A law L0 + A / N^alpha + B / D^beta is fitted as Chinchilla's third approach does: Huber loss on the
logarithm, each term as an exponential. N are parameters, D tokens, losses nats.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from rare_retention.errors import UserError
from rare_retention.evidence.intervals import CONFIDENCE
from rare_retention.evidence.scaling_points import Points
from rare_retention.theory.checks import Array, IntArray
from rare_retention.theory.scaling import (
    Learnable,
    ScalingLaw,
    checked_epsilon,
    compute,
    decide,
)

HUBER = 1e-2
"""Where residuals of log L stop to count by their square.

Hoffmann et al. (2022) take 1e-3. Below the scatter of small runs that is nearly a fit of least
absolute deviations: with a scatter of 0.4%, 32 points and two streams, its 95% intervals are a
fifth wider and held the planted numbers in 78 to 88% of 50 simulated experiments, where with this
value they did in 86 to 94%.
"""

METHOD = (
    "95% percentile interval of a residual bootstrap: runs take each other's residuals of log L, "
    "and streams, if there are two, each other's mean residual; in simulations such intervals held "
    "the truth in 86 to 94% of experiments, with a Huber delta of 0.001 in 78 to 88%"
)

_PARAMETERS = 5
_SHOWS = 0.01  # error of the first kind at which a law has to be better than a constant
_UNDETERMINED = (1 - CONFIDENCE) / 2  # share of resamples at the ends of what a fit may find
_LEAST = {"points": 6, "sizes": 3, "token counts": 3}
_ALIGNED = 0.999  # correlation of log N with log D from which on the two terms are one
_EXPONENTS = (1e-3, 5.0)
_NEAR = 1e-4  # of the way between the ends: as far as least squares comes
_REACH = 30.0  # how far in log L a term may stand from the losses' mean at the centre of the points

Covers = Literal["streams and runs", "runs"]


class Range(NamedTuple):
    """An estimate with the ends of its interval, numbers or arrays of one shape."""

    estimate: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Fit:
    """A law fitted to points.

    Attributes:
        points: what it was fitted to.
        law: the fitted law.
        draws: laws fitted to bootstrap samples.
        covers: what the intervals cover; scatter that streams share is in them only with two.
        scatter: root mean square residual of log L, about the relative error of the law.
    """

    points: Points
    law: ScalingLaw
    draws: tuple[ScalingLaw, ...]
    covers: Covers
    scatter: float

    def interval(self, statistic: Callable[[ScalingLaw], ArrayLike]) -> Range:
        """A statistic of the law with its 95% interval over the bootstrap."""
        ends = 50 * (1 + np.array([-CONFIDENCE, CONFIDENCE]))
        low, high = np.percentile([statistic(law) for law in self.draws], ends, axis=0)
        return Range(np.asarray(statistic(self.law)), low, high)


@dataclass(frozen=True)
class Pair:
    """How a smaller size can come to what a larger one learns.

    Attributes:
        small: N_s.
        large: N_l.
        gain: L_C(N_s) - L_C(N_l) in nats.
        shortfall: L_inf(N_s) - L_C(N_l) in nats.
        verdict: "undecided" where an interval holds 0, or epsilon.
    """

    small: float
    large: float
    gain: Range
    shortfall: Range
    verdict: Learnable


def fit(points: Points, draws: int = 300, seed: int = 0, huber: float = HUBER) -> Fit:
    """Fits L0 + A / N^alpha + B / D^beta to losses, then again to resampled residuals.

    Args:
        points: losses in nats of models of N parameters after D tokens: at least 6 points, with at
            least 3 different N and 3 different D, not all on one line in log N and log D.
        draws: how many times the residuals of log L are resampled and the law is fitted again.
        seed: of the resampling.
        huber: delta of the loss, in log L.

    Returns:
        The law of the points, and one for each draw, from which intervals are read.

    Raises:
        UserError: the points do not determine a law's five parameters, or no law shows in them:
            neither size nor data lowers the loss by more than it scatters.
    """
    _check(points)
    problem = _Problem(points, huber)
    logs = problem.logs
    best = min((problem.solve(logs, start) for start in problem.starts(logs)), key=lambda s: s.cost)
    residuals = -best.fun
    _check_shows(points, logs, residuals)
    if (term := problem.at_an_end(best.x)) is not None:
        raise UserError(f"{points.name}: the points do not determine {term}; {_MORE}")
    rng = np.random.default_rng(seed)
    samples = [_resampled(points, residuals, rng) for _ in range(draws)]
    found = [problem.solve(logs - residuals + sample, best.x).x for sample in samples]
    inside = [x for x in found if problem.at_an_end(x) is None]
    if len(inside) < (1 - _UNDETERMINED) * draws:
        raise UserError(
            f"{points.name}: in {draws - len(inside)} of {draws} resamples the points do not "
            f"determine a law; {_MORE}"
        )
    return Fit(
        points=points,
        law=problem.law(best.x),
        draws=tuple(map(problem.law, inside)),
        covers="streams and runs" if len(np.unique(points.stream)) > 1 else "runs",
        scatter=float(np.sqrt(np.mean(residuals**2))),
    )


def pairs(fitted: Fit, epsilon: float = 0.0) -> list[Pair]:
    """The verdict on each pair of measured sizes, the smaller first.

    Args:
        fitted: a law and its bootstrap.
        epsilon: see `ScalingLaw.learnability`.
    """
    checked_epsilon(epsilon)
    sizes = np.unique(fitted.points.parameters)
    small, large = (sizes[i] for i in np.triu_indices(len(sizes), 1))
    gain = fitted.interval(lambda law: law.gain(small, large))
    shortfall = fitted.interval(lambda law: law.shortfall(small, large))
    found = []
    for i in range(len(small)):
        g, s = (Range(*(part[i] for part in whole)) for whole in (gain, shortfall))
        verdict = decide((float(g.low), float(g.high)), (float(s.low), float(s.high)), epsilon)
        found.append(Pair(float(small[i]), float(large[i]), g, s, verdict))
    return found


def summary(fitted: Fit, epsilon: float = 0.0) -> dict[str, Any]:
    """What a law says, as JSON values: itself, its frontier, its sizes and their pairs.

    Numbers with an interval are {estimate, low, high}. What is `extrapolated` lies at sizes or
    tokens outside those measured.

    Args:
        fitted: a law and its bootstrap.
        epsilon: see `ScalingLaw.learnability`.
    """
    points = fitted.points
    return {
        "name": points.name,
        "points": len(points.loss),
        "tokens": [points.tokens.min(), points.tokens.max()],
        "method": METHOD,
        "covers": fitted.covers,
        "draws": len(fitted.draws),
        "scatter": fitted.scatter,
        "law": {
            field.name: _json(fitted.interval(attrgetter(field.name)))
            for field in fields(ScalingLaw)
        },
        "frontier": [_at_compute(fitted, flops) for flops in _decades(points)],
        "sizes": [_at_size(fitted, size, epsilon) for size in np.unique(points.parameters)],
        "epsilon": epsilon,
        "pairs": [
            asdict(pair) | {"gain": _json(pair.gain), "shortfall": _json(pair.shortfall)}
            for pair in pairs(fitted, epsilon)
        ],
    }


def _at_compute(fitted: Fit, flops: float) -> dict[str, Any]:
    size = fitted.interval(lambda law: law.frontier(flops)[0])
    tokens = fitted.interval(lambda law: law.frontier(flops)[1])
    outside = _outside(fitted.points.parameters, size) or _outside(fitted.points.tokens, tokens)
    return {
        "compute": flops,
        "parameters": _json(size),
        "tokens": _json(tokens),
        "loss": _json(fitted.interval(lambda law: law.loss(*law.frontier(flops)))),
        "extrapolated": outside,
    }


def _at_size(fitted: Fit, size: float, epsilon: float) -> dict[str, Any]:
    tokens = fitted.interval(lambda law: law.optimal_tokens(size))
    outscaled = fitted.interval(lambda law: law.largest_outscaled(size, epsilon))
    return {
        "parameters": float(size),
        "infinite_data_loss": _json(fitted.interval(lambda law: law.infinite_data_loss(size))),
        "compute_optimal_loss": _json(fitted.interval(lambda law: law.compute_optimal_loss(size))),
        "optimal_tokens": _json(tokens),
        "largest_outscaled": _json(outscaled),
        "extrapolated": _outside(fitted.points.tokens, tokens),
    }


def _decades(points: Points) -> list[float]:
    """Powers of ten of compute about the points, and one beyond them."""
    ends = np.log10(compute(points.parameters, points.tokens))
    return [10.0**k for k in range(round(ends.min()), round(ends.max()) + 2)]


def _outside(measured: Array, value: Range) -> bool:
    return not measured.min() <= value.estimate <= measured.max()


def _json(value: Range) -> dict[str, float]:
    return {name: float(part) for name, part in value._asdict().items()}


def _check(points: Points) -> None:
    """Refuses points that do not determine a law."""
    found = {
        "points": len(points.loss),
        "sizes": len(np.unique(points.parameters)),
        "token counts": len(np.unique(points.tokens)),
    }
    if any(found[name] < least for name, least in _LEAST.items()):
        has = ", ".join(f"{count} {name}" for name, count in found.items())
        needs = ", ".join(f"{least} {name}" for name, least in _LEAST.items())
        raise UserError(
            f"{points.name}: a scaling law needs at least {needs}, got {has}; train more sizes, or "
            "each for several lengths"
        )
    if not np.all(points.loss > 0):
        raise UserError(
            f"{points.name}: a scaling law needs losses above 0, got {points.loss.min()}"
        )
    if np.ptp(points.loss) == 0:
        raise UserError(f"{points.name}: all losses are {points.loss[0]:g}: no law shows in them")
    if abs(np.corrcoef(np.log(points.parameters), np.log(points.tokens))[0, 1]) > _ALIGNED:
        raise UserError(
            f"{points.name}: sizes and tokens vary together, so that what each does cannot be told "
            "apart; train one size for several lengths"
        )


_MORE = "train more sizes, for more different lengths, or leave the task out"


def _check_shows(points: Points, logs: Array, residuals: Array) -> None:
    """Refuses losses that a constant fits as well: those of a task that no size learns.

    By an F test of the law's sum of squares against the constant's.
    """
    free = len(logs) - _PARAMETERS
    constant, law = np.sum((logs - logs.mean()) ** 2), np.sum(residuals**2)
    ratio = (constant - law) / (_PARAMETERS - 1) / max(law / free, np.finfo(float).tiny)
    if scipy.stats.f.sf(ratio, _PARAMETERS - 1, free) > _SHOWS:
        raise UserError(
            f"{points.name}: neither size nor data lowers its loss of "
            f"{np.exp(np.log(points.loss).mean()):.4g} by more than it scatters: no law shows in it"
        )


def _resampled(points: Points, residuals: Array, rng: np.random.Generator) -> Array:
    """Residuals of a bootstrap sample, the points where they were [points].

    They are enlarged by what the fit has taken from them.
    """
    streams, stream = np.unique(points.stream, return_inverse=True)
    count = np.bincount(stream)
    shared = np.bincount(stream, residuals) / count if len(count) > 1 else np.zeros(1)
    own = residuals - shared[stream]
    lost = min(_PARAMETERS + len(streams) - 1, len(residuals) - 1)
    sample = own[_exchange(points.run, rng)] * np.sqrt(len(own) / (len(own) - lost))
    if len(streams) > 1:
        enlarged = (shared - shared.mean()) * np.sqrt(len(streams) / (len(streams) - 1))
        sample += rng.choice(enlarged, len(streams))[stream]
    return sample


def _exchange(run: IntArray, rng: np.random.Generator) -> IntArray:
    """For each point the place of one as far into another run, drawn at random [points].

    What a run has more or less at one step it has at the next, so whole runs are exchanged.
    """
    members = [np.flatnonzero(run == r) for r in np.unique(run)]
    places = np.empty(len(run), np.int64)
    for own, other in zip(members, rng.integers(0, len(members), len(members)), strict=True):
        taken = np.arange(len(own)) * len(members[other]) // len(own)
        places[own] = members[other][taken]
    return places


class _Problem:
    """The fit of log L by five numbers x.

    x is log L0, log of the size's term, alpha, log of the data's term and beta; the terms are those
    at the centre of the points, so that a change of an exponent leaves them as they are. Losses are
    in units of their geometric mean, so that tiny and huge ones are fitted as well.
    """

    def __init__(self, points: Points, huber: float) -> None:
        self.huber = huber
        self.level = float(np.log(points.loss).mean())
        self.logs = np.log(points.loss) - self.level
        self.centre = np.log(points.parameters).mean(), np.log(points.tokens).mean()
        self.size = np.log(points.parameters) - self.centre[0]
        self.data = np.log(points.tokens) - self.centre[1]
        self.low = np.array([-_REACH, -_REACH, _EXPONENTS[0], -_REACH, _EXPONENTS[0]])
        self.high = np.array([_REACH, _REACH, _EXPONENTS[1], _REACH, _EXPONENTS[1]])

    def starts(self, logs: Array) -> Iterable[Array]:
        """A small grid of first guesses; a well-posed fit ends at one place from all of them."""
        for share in (0.2, 0.6, 0.9):
            floor = share * np.exp(logs.min())
            term = np.log((np.exp(logs.mean()) - floor) / 2)
            for exponent in (0.2, 0.6):
                yield np.array([np.log(floor), term, exponent, term, exponent])

    def solve(self, logs: Array, start: Array) -> "scipy.optimize.OptimizeResult":
        """Least squares with Huber's loss; its `fun` are fitted minus given logs."""
        return scipy.optimize.least_squares(
            lambda x: np.logaddexp.reduce(self._terms(x)) - logs,
            start,
            self._slopes,
            bounds=(self.low, self.high),
            loss="huber",
            f_scale=self.huber,
        )

    def at_an_end(self, x: Array) -> str | None:
        """Which term of five numbers a fit has pushed as far as it may; None where none is.

        L0 may stand at its lower end: losses that fall to nothing have none.
        """
        room = _NEAR * (self.high - self.low)
        there = (x < self.low + room) | (x > self.high - room)
        for term, places in {"what the size does": (1, 2), "what the data does": (3, 4)}.items():
            if there[list(places)].any():
                return term
        return None

    def law(self, x: Array) -> ScalingLaw:
        """The law of five numbers."""
        floor, size, alpha, data, beta = map(float, x)
        terms = np.array([size + alpha * self.centre[0], data + beta * self.centre[1]])
        a, b = np.exp(terms + self.level)
        return ScalingLaw(float(np.exp(floor + self.level)), float(a), alpha, float(b), beta)

    def _terms(self, x: Array) -> Array:
        floor = np.full_like(self.size, x[0])
        return np.stack([floor, x[1] - x[2] * self.size, x[3] - x[4] * self.data])

    def _slopes(self, x: Array) -> Array:
        terms = self._terms(x)
        floor, size, data = np.exp(terms - np.logaddexp.reduce(terms))
        return np.stack([floor, size, -size * self.size, data, -data * self.data], axis=1)
