"""Fourier modes of a cyclic sum: at which frequencies do residuals vary with it? (Fig. 7b).

Residual vectors of all pairs (a, b) are grouped by (a + b) mod P; their means by class, centred,
are written in the orthonormal real Fourier basis over the classes. P_k is the share of their
variance that frequency k has. Without structure each of the P - 1 basis vectors has 1 / (P - 1) of
it, so frequency k, with its cosine and sine, has 2 / (P - 1), and P/2 of an even P, which has a
cosine alone, has 1 / (P - 1). A frequency with more than theta times that is a mode.

Theta = 2 lets noise through, the more the fewer directions the means span: the mean number of modes
under random relabellings of the classes stands beside the count.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import ArrayLike, NDArray

from rare_retention.models.olmo import Olmo
from rare_retention.representation.residuals import states

Array = NDArray[np.float64]

THETA = 2.0
RELABELLINGS = 200
_ROUNDING = 1e-10  # of the mean square: class means that vary less are equal up to float32's noise


def frequencies(classes: int) -> NDArray[np.int64]:
    """All frequencies 1, 2, ... up to P / 2."""
    return np.arange(1, classes // 2 + 1)


def null_share(classes: int) -> Array:
    """Share of the variance that each frequency has without structure [P // 2]."""
    return np.where(2 * frequencies(classes) == classes, 1, 2) / (classes - 1)


def power(means: ArrayLike) -> Array:
    """Share P_k of the variance of class means that each frequency has, [P // 2]; NaN without any.

    Args:
        means: of the residuals of each class [P, D].
    """
    return _power(_gram(np.asarray(means, np.float64)))


def modes(means: ArrayLike, theta: float = THETA) -> NDArray[np.bool_]:
    """Which frequencies are modes, [P // 2].

    Args:
        means: of the residuals of each class [P, D].
        theta: how many times the null share a mode has.
    """
    return _exceeds(_gram(np.asarray(means, np.float64)), theta)


def modes_by_chance(
    means: ArrayLike, theta: float = THETA, draws: int = RELABELLINGS, seed: int = 0
) -> float:
    """Mean number of modes when the classes are relabelled at random.

    Args:
        means: of the residuals of each class [P, D].
        theta: as in `modes`.
        draws: relabellings.
        seed: of them.
    """
    gram, rng = _gram(np.asarray(means, np.float64)), np.random.default_rng(seed)
    orders = [rng.permutation(len(gram)) for _ in range(draws)]
    return float(np.mean([_exceeds(gram[order][:, order], theta).sum() for order in orders]))


def class_means(model: Olmo, tokens: NDArray[np.integer]) -> tuple[Array, NDArray[np.bool_]]:
    """Means by class at the last position before the answer, the only one that sees both tokens.

    Args:
        model: that is run.
        tokens: TOK1 and TOK2 of all pairs (a, b) [P, P, 2].

    Returns:
        Means of the states 1 to L [L, P, D], and in which of them they differ by more than float32
        rounds. State 0 is left out: it knows TOK2 alone, which has the same mean in every class.
    """
    count = len(tokens)
    first = np.arange(count)[None].repeat(count, 0)
    second = (np.arange(count)[:, None] - first) % count
    means, square = _class_means(model, jnp.asarray(tokens[first, second], jnp.int32))
    found = np.asarray(means, np.float64).swapaxes(0, 1)
    between = np.square(found - found.mean(1, keepdims=True)).sum(-1).mean(-1)
    return found, between > _ROUNDING * np.asarray(square, np.float64).mean(0)


@nnx.jit
def _class_means(model: Olmo, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean [P, L, D] and mean square length [P, L] of the states of rows of tokens [P, n, 2]."""

    def one(pairs: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = states(model, pairs)[:, 1:, -1]
        return found.mean(0), jnp.square(found).sum(-1).mean(0)

    return jax.lax.map(one, tokens)


def _gram(means: Array) -> Array:
    centred = means - means.mean(0)
    return centred @ centred.T


def _power(gram: Array) -> Array:
    """P_k from the inner products of the class means [P, P]: they decide it."""
    count = len(gram)
    angle = 2 * np.pi * np.outer(frequencies(count), np.arange(count)) / count
    length = null_share(count)[:, None] * (count - 1) / count  # of the basis vectors, squared
    parts = sum(np.einsum("kp,pq,kq->k", w, gram, w) for w in (np.cos(angle), np.sin(angle)))
    total = np.trace(gram)
    return length[:, 0] * parts / total if total > 0 else np.full(len(angle), np.nan)


def _exceeds(gram: Array, theta: float) -> NDArray[np.bool_]:
    return _power(gram) > theta * null_share(len(gram))
