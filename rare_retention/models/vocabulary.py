"""Words in and words out: their embeddings, and cross-entropy over a large vocabulary.

The logits of a batch are its largest array by far: at 50,304 words they outweigh the residual
stream of a 4M model by a factor of 800. A few positions at a time are enough: the forward pass
keeps one number a token, log sum exp of its logits, from which the backward pass makes the
probabilities again with one exponential.

On a mesh each device sums the gradient of all words over its own rows, and the sums are added up
once at the end, straight into the layout of the weights: sums that stood in the loop over positions
would be added up at each of its turns.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rare_retention.parallel import RULES, constrain, platform, shards, spec

_LARGEST = {"cpu": 2**23}  # what a core's cache can still hold a good part of
_LARGEST_ELSEWHERE = 2**28  # a gigabyte of float32


def look_up(embedding: jax.Array, tokens: jax.Array, dtype: jax.typing.DTypeLike) -> jax.Array:
    """The embedding of each token, [B, T, D].

    Args:
        embedding: float32 [V, D].
        tokens: ids, int [B, T].
        dtype: of what is returned.
    """
    table, groups = embedding.astype(dtype), _groups(tokens.shape[0])
    if groups == 1:
        return constrain(table[tokens], "batch", None, None)
    # One table for each group of rows, so that a gradient is summed where its rows are.
    rows = jax.vmap(lambda own, ids: own[ids])(_spread(table, groups), tokens.reshape(groups, -1))
    return constrain(rows.reshape(*tokens.shape, -1), "batch", None, None)


def token_losses(
    hidden: jax.Array, unembedding: jax.Array, targets: jax.Array, largest: int | None = None
) -> jax.Array:
    """Cross-entropy of each target, in nats.

    Args:
        hidden: normalised residual stream, [B, T, D].
        unembedding: [V, D].
        targets: ids [B, T].
        largest: logits that a device may hold at once; None: what suits it.

    Returns:
        float32 [B, T].
    """
    return _token_losses(hidden, unembedding, targets, _pieces(hidden, unembedding, largest))


def evaluate(
    hidden: jax.Array, unembedding: jax.Array, targets: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy in nats, and whether the target has the best score; each float32 [B, T].

    Args:
        hidden: normalised residual stream, [B, T, D].
        unembedding: [V, D].
        targets: ids [B, T].
    """

    def one(piece: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        scores = logits(piece[0], unembedding)
        right = scores.argmax(-1).astype(piece[1].dtype) == piece[1]
        return jax.nn.logsumexp(scores, axis=-1) - _at(scores, piece[1]), right.astype(jnp.float32)

    pieces = _pieces(hidden, unembedding, None)
    loss, right = jax.lax.map(one, (_cut(hidden, pieces), _cut(targets, pieces)))
    return _join(loss), _join(right)


def losses(hidden: jax.Array, unembedding: jax.Array, targets: jax.Array) -> jax.Array:
    """Cross-entropy of targets [...] from hidden [..., D], all logits at once; float32 [...]."""
    scores = logits(hidden, unembedding)
    return jax.nn.logsumexp(scores, axis=-1) - _at(scores, targets)


def logits(hidden: jax.Array, unembedding: jax.Array) -> jax.Array:
    """Scores of all words, float32 [..., V], from hidden [..., D]."""
    return _product(hidden, unembedding.astype(hidden.dtype).T)


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    """x [..., n] times y [n, m] as one product of matrices, summed in float32."""
    flat = jnp.matmul(x.reshape(-1, x.shape[-1]), y, preferred_element_type=jnp.float32)
    return flat.reshape(*x.shape[:-1], y.shape[-1])


def _token_losses(
    hidden: jax.Array, unembedding: jax.Array, targets: jax.Array, pieces: int
) -> jax.Array:
    @jax.custom_vjp
    def split(hidden: jax.Array, unembedding: jax.Array) -> jax.Array:
        return forward(hidden, unembedding)[0]

    def forward(
        hidden: jax.Array, unembedding: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        # Rounded, and gathered where a mesh cuts D, once for all pieces of both passes.
        words = constrain(unembedding.astype(hidden.dtype), "vocab", None)

        def one(piece: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            scores = logits(piece[0], words)
            total = jax.nn.logsumexp(scores, axis=-1)
            return total - _at(scores, piece[1]), total

        loss, total = jax.lax.map(one, (_cut(hidden, pieces), _cut(targets, pieces)))
        return _join(loss), (hidden, words, total)

    def backward(kept: tuple[jax.Array, ...], cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden, words, total = kept

        def one(gradient: jax.Array, piece: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
            own, target, own_total, weight = piece
            share = jnp.exp(logits(own, words) - own_total[..., None]) * weight[..., None]
            share = share.astype(own.dtype)
            back = _product(share, words)
            gradient = gradient + _by_rows(lambda x, y: _product(x.T, y), len(gradient), share, own)
            return gradient, back - weight[..., None] * words[target].astype(jnp.float32)

        pieces_of = tuple(_cut(x, pieces) for x in (hidden, targets))
        start = _start(unembedding, hidden.shape[0])
        gradient, back = jax.lax.scan(one, start, (*pieces_of, total, _cut(cotangent, pieces)))
        right = cotangent[..., None] * hidden.astype(jnp.float32)
        gradient = _reduced(_scattered(gradient, targets, -right), unembedding)
        return _join(back).astype(hidden.dtype), gradient

    split.defvjp(forward, backward)
    return split(hidden, unembedding)


def _start(weights: jax.Array, rows: int) -> jax.Array:
    """Zeros for the gradient of weights [V, D], one for each group of rows, float32 [G, V, D]."""
    return _laid(jnp.zeros((_groups(rows), *weights.shape), jnp.float32))


def _groups(rows: int) -> int:
    """G, the groups in which the mesh cuts the rows of a batch; 1 where it cannot cut so many."""
    groups = shards("batch")
    return 1 if rows % groups else groups


def _laid(gradient: jax.Array) -> jax.Array:
    """Gradients of groups of rows [G, V, D], each where its rows are."""
    return constrain(gradient, "batch" if len(gradient) > 1 else None, "vocab", None)


def _spread(weights: jax.Array, groups: int) -> jax.Array:
    """Weights [V, D] for each group of rows, [G, V, D]: each device gathers its share of the words.

    Gradients go the opposite way: they are added up straight into the layout of the weights. Left
    to itself the compiler would give every device the sums of all weights.
    """
    if groups == 1:
        return weights[None]

    def gathered(own: jax.Array) -> jax.Array:
        return jax.lax.all_gather(own, RULES["embed"], axis=1, tiled=True)[None]

    layout = spec("batch", "vocab", None)
    return jax.shard_map(
        gathered, in_specs=spec("vocab", "embed"), out_specs=layout, check_vma=False
    )(weights)


def _reduced(gradient: jax.Array, weights: jax.Array) -> jax.Array:
    """The sum over all groups of gradients [G, V, D], laid out as the weights [V, D] are."""
    like = jax.ShapeDtypeStruct(weights.shape, gradient.dtype)
    (total,) = jax.linear_transpose(lambda own: _spread(own, len(gradient)), like)(gradient)
    return total.astype(weights.dtype)


def _by_rows(function: Callable[..., jax.Array], groups: int, *arrays: jax.Array) -> jax.Array:
    """A function of positions [n, ...] for each group of rows of arrays [B, t, ...].

    Args:
        function: returns [V, D].
        groups: G, equal parts of the rows.
        *arrays: each [B, t, m].

    Returns:
        [G, V, D].
    """
    cut = [x.reshape(groups, -1, x.shape[-1]) for x in arrays]
    if groups == 1:  # a product of matrices as such is the fastest on a CPU
        return function(*(x[0] for x in cut))[None]
    return _laid(jax.vmap(function)(*cut))


def _scattered(gradient: jax.Array, tokens: jax.Array, added: jax.Array) -> jax.Array:
    """Gradients of groups [G, V, D], with added [B, T, D] where the tokens [B, T] stand."""
    groups = len(gradient)

    def one(gradient: jax.Array, tokens: jax.Array, added: jax.Array) -> jax.Array:
        return gradient.at[tokens].add(added)

    parts = (
        gradient,
        tokens.reshape(groups, -1),
        added.astype(jnp.float32).reshape(groups, -1, added.shape[-1]),
    )
    if groups == 1:
        return one(*(x[0] for x in parts))[None]
    return _laid(jax.vmap(one)(*parts))


def _at(scores: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]


def _cut(x: jax.Array, pieces: int) -> jax.Array:
    """[B, T, ...] as [pieces, B, T / pieces, ...]."""
    return jnp.moveaxis(x.reshape(x.shape[0], pieces, -1, *x.shape[2:]), 1, 0)


def _join(x: jax.Array) -> jax.Array:
    """The inverse of `_cut`."""
    return jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1, *x.shape[3:])


def _pieces(hidden: jax.Array, unembedding: jax.Array, largest: int | None) -> int:
    """The fewest equal pieces of the positions whose logits a device may hold at once."""
    if largest is None:
        largest = _LARGEST.get(platform(), _LARGEST_ELSEWHERE)
    rows, length = -(-hidden.shape[0] // shards("batch")), hidden.shape[1]
    position = rows * -(-unembedding.shape[0] // shards("vocab"))
    wanted = min(math.ceil(length * position / largest), length)
    return next(n for n in range(wanted, length + 1) if length % n == 0)
