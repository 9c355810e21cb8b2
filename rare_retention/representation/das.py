"""Distributed alignment search: is a direction of the residual stream what the model uses?

App. B.4 of the paper, after Geiger et al. (2024). An *interchange intervention* takes two
instances, base and source, and replaces what the base run has of a subspace at one state and
position by what the source run has there. If the subspace carries the value of the token at that
position, and if the model uses it, the answer becomes the label of the base instance with the
source's token: the *counterfactual* label. The subspace is learned by gradient descent on the
cross-entropy of that label, over the whole vocabulary; the model stays as it is.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from numpy.typing import NDArray

from rare_retention.errors import ConfigError
from rare_retention.models import vocabulary
from rare_retention.models.language_model import LanguageModel
from rare_retention.representation.pairs import PAIRS, check_pairs, free
from rare_retention.representation.residuals import advance, answer

_STEPS = 1000
_BATCH = 256  # pairs of a step
_TURN = 0.3  # about how far, in radians, a step may turn a direction


class Pairs(NamedTuple):
    """Interchange interventions at one position.

    Attributes:
        base: TOK1 and TOK2 [n, 2].
        source: those of the run that the value is taken from [n, 2].
        counterfactual: label of the base instance with the source's token at the position [n].
        counted: whether it differs from the base's own label [n]: where it does not, leaving the
            stream alone gives it too.
    """

    base: jax.Array
    source: jax.Array
    counterfactual: jax.Array
    counted: NDArray[np.bool_]


class Alignment(NamedTuple):
    """What a search found.

    Attributes:
        basis: of the subspace, orthonormal float32 [D, dimensions].
        success: share of fresh counted pairs after which the counterfactual label has the highest
            score of all words; NaN where no pair counts.
        random: the same for a random subspace of these dimensions.
        whole: the same when all of the stream there is replaced: low where the token has already
            been read from there, or where the model does not know the counterfactual instances.
        counted: pairs behind each share.
    """

    basis: NDArray[np.float32]
    success: float
    random: float
    whole: float
    counted: int


def search(
    model: LanguageModel,
    tokens: NDArray[np.integer],
    layer: int = 1,
    position: int = 0,
    dimensions: int = 1,
    pairs: int = PAIRS,
    seed: int = 0,
) -> Alignment:
    """Learns the subspace that carries a token's value, and scores it on fresh pairs.

    Args:
        model: that is run.
        tokens: TOK1, TOK2 and LABEL of all pairs of values [S, S, 3].
        layer: state of the intervention, 0 to L.
        position: of the intervention, 0 or 1.
        dimensions: of the subspace, 1 to D.
        pairs: interventions to learn from; as many fresh ones are scored.
        seed: of pairs, batches and initial subspace.

    Raises:
        ConfigError: the subspace is larger than the stream, or there are too few pairs.
    """
    if not 1 <= dimensions <= model.shape.hidden:
        raise ConfigError(
            "dimensions",
            f"expected 1 to {model.shape.hidden}, the width of the stream, got {dimensions}",
        )
    rng = np.random.default_rng(seed)
    learned, fresh = draw(tokens, position, pairs, rng)
    batches = rng.integers(0, pairs, (_STEPS, min(_BATCH, pairs)))
    start = rng.standard_normal((2, model.shape.hidden, dimensions)).astype(np.float32)
    where = {"layer": layer, "position": position}
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes dtypes itself
        basis = _learn(model, learned[:3], jnp.asarray(batches), jnp.asarray(start[0]), **where)

    def success(subspace: jax.Array) -> float:
        right = np.asarray(_succeeds(model, fresh[:3], subspace, **where))[fresh.counted]
        return float(right.mean()) if right.size else np.nan

    return Alignment(
        basis=np.asarray(basis),
        success=success(basis),
        random=success(orthonormal(jnp.asarray(start[1]))),
        whole=success(jnp.eye(model.shape.hidden, dtype=jnp.float32)),
        counted=int(fresh.counted.sum()),
    )


def draw(
    tokens: NDArray[np.integer], position: int, count: int, rng: np.random.Generator
) -> tuple[Pairs, Pairs]:
    """Two sets of different interventions, one to learn from and one to score.

    What the intervention cannot see counts for nothing: at position 0 the source's TOK2 is the
    base's own, and no two interventions agree in all else.

    Args:
        tokens: of all pairs of values [S, S, 3].
        position: of the intervention, 0 or 1.
        count: interventions of each set.
        rng: what they are drawn with.

    Raises:
        ConfigError: there are not as many.
    """
    symbols = len(tokens)
    varied = free(position)
    check_pairs(symbols, position, count)
    code = rng.choice(symbols**varied, 2 * count, replace=False)
    digits = [code // symbols**i % symbols for i in range(varied)]
    first, second, moved = digits[0], digits[1], digits[2:]
    source = (moved[0], second) if position == 0 else (moved[1], moved[0])
    changed = (moved[0], second) if position == 0 else (first, moved[0])
    label, own = tokens[*changed, 2], tokens[first, second, 2]

    def part(rows: slice) -> Pairs:
        return Pairs(
            jnp.asarray(tokens[first, second, :2][rows], jnp.int32),
            jnp.asarray(tokens[*source, :2][rows], jnp.int32),
            jnp.asarray(label[rows], jnp.int32),
            (label != own)[rows],
        )

    return part(slice(count)), part(slice(count, None))


def orthonormal(weights: jax.Array) -> jax.Array:
    """Orthonormal basis [D, n] of the columns of weights [D, n], whatever the weights become."""
    return jnp.linalg.qr(weights)[0]


def interchange(base: jax.Array, source: jax.Array, basis: jax.Array, position: int) -> jax.Array:
    """The base's state with the source's part in a subspace at one position, [n, T, D].

    Args:
        base: state of the base runs [n, T, D].
        source: the same state of the source runs.
        basis: of the subspace, orthonormal [D, dimensions].
        position: where it is replaced.
    """
    change = (source[:, position] - base[:, position]) @ basis
    return base.at[:, position].add(change @ basis.T)


@nnx.jit(static_argnames=("layer", "position"))
def _learn(
    model: LanguageModel,
    pairs: tuple[jax.Array, ...],
    batches: jax.Array,
    start: jax.Array,
    layer: int,
    position: int,
) -> jax.Array:
    """Basis [D, dimensions] after a step on each batch of pairs, [steps, batch]."""
    base, source, label = pairs
    before, given = (advance(model, model.embed(x), 0, layer) for x in (base, source))
    # Adam moves each weight by about its rate; columns have length sqrt(D).
    adam = optax.adam(optax.cosine_decay_schedule(_TURN, len(batches)))

    def loss(weights: jax.Array, chosen: jax.Array) -> jax.Array:
        x = interchange(before[chosen], given[chosen], orthonormal(weights), position)
        last = answer(model, advance(model, x, layer, model.shape.layers))
        return vocabulary.losses(last, model.readout, label[chosen]).mean()

    def step(state: tuple[jax.Array, optax.OptState], chosen: jax.Array) -> tuple[Any, None]:
        weights, moments = state
        updates, moments = adam.update(jax.grad(loss)(weights, chosen), moments)
        return (optax.apply_updates(weights, updates), moments), None

    (weights, _), _ = jax.lax.scan(step, (start, adam.init(start)), batches)
    return orthonormal(weights)


@nnx.jit(static_argnames=("layer", "position"))
def _succeeds(
    model: LanguageModel, pairs: tuple[jax.Array, ...], basis: jax.Array, layer: int, position: int
) -> jax.Array:
    """Whether the counterfactual label has the highest score after each intervention, [n]."""
    base, source, label = pairs
    before, given = (advance(model, model.embed(x), 0, layer) for x in (base, source))
    x = interchange(before, given, basis, position)
    last = answer(model, advance(model, x, layer, model.shape.layers))
    return vocabulary.evaluate(last[None], model.readout, label[None])[1][0] > 0
