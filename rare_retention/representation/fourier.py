"""Fourier modes of a cyclic sum: at which frequencies do residuals vary with it? (Fig. 7b).

Residual vectors of all pairs (a, b) are grouped by (a + b) mod P; their means by class, centred,
are written in the orthonormal real Fourier basis over the classes. P_k is the share of their
variance that frequency k has. Without structure each of the P - 1 basis vectors has 1 / (P - 1) of
it, so frequency k, with its cosine and sine, has 2 / (P - 1), and P/2 of an even P, which has a
cosine alone, has 1 / (P - 1). A frequency with more than theta times that is a mode.

Theta = 2 lets noise through. How much is counted by giving the symbols each other's values at
random and counting again. It would not do to shuffle the class means themselves: a sum's means
come from products of what the symbols have at one frequency, which vary more from frequency to
frequency than unrelated vectors do, so that models with random weights have over twice the modes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import ArrayLike, NDArray

from rare_retention.models.language_model import LanguageModel
from rare_retention.representation.residuals import states

Array = NDArray[np.float64]

THETA = 2.0
RELABELLINGS = 50
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
    centred = np.asarray(means, np.float64)
    centred = centred - centred.mean(0)
    waves = np.square(np.abs(np.fft.rfft(centred, axis=0)[1:])).sum(1)
    # rfft leaves out the negative frequencies: the basis counts them in, but for P/2.
    parts = waves * null_share(len(centred))
    return parts / parts.sum() if parts.sum() > 0 else np.full(len(parts), np.nan)


def modes(means: ArrayLike, theta: float = THETA) -> NDArray[np.bool_]:
    """Which frequencies are modes, [P // 2].

    Args:
        means: of the residuals of each class [P, D].
        theta: how many times the null share a mode has.
    """
    return power(means) > theta * null_share(len(np.asarray(means)))


def count(model: LanguageModel, tokens: NDArray[np.integer]) -> Array:
    """Number of modes of each layer [L].

    Args:
        model: that is run.
        tokens: TOK1 and TOK2 of all pairs (a, b) [P, P, 2].
    """
    found = zip(*class_means(model, tokens), strict=True)
    return np.array([float(modes(means).sum()) if differ else 0.0 for means, differ in found])


def count_by_chance(
    model: LanguageModel, tokens: NDArray[np.integer], draws: int = RELABELLINGS, seed: int = 0
) -> Array:
    """Mean number of modes of each layer when symbols have each other's values at random [L].

    Args:
        model: that is run.
        tokens: TOK1 and TOK2 of all pairs (a, b) [P, P, 2].
        draws: relabellings.
        seed: of them.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(tokens)) for _ in range(draws)]
    return np.mean([count(model, tokens[order][:, order]) for order in orders], axis=0)


def class_means(
    model: LanguageModel, tokens: NDArray[np.integer]
) -> tuple[Array, NDArray[np.bool_]]:
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
def _class_means(model: LanguageModel, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean [P, L, D] and mean square length [P, L] of the states of rows of tokens [P, n, 2]."""

    def one(pairs: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = states(model, pairs)[:, 1:, -1]
        return found.mean(0), jnp.square(found).sum(-1).mean(0)

    return jax.lax.map(one, tokens)
