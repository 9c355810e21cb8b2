"""Cross-entropy over a large vocabulary without ever holding all logits of a batch.

The logits of a batch are its largest array by far: at 50,304 words they outweigh the residual
stream of a 4M model by a factor of 800. A few positions at a time are enough: the forward pass
keeps one number a token, log sum exp of its logits, from which the backward pass makes the
probabilities again with one exponential.
"""

import math

import jax
import jax.numpy as jnp

from rare_retention.parallel import platform, shards

_LARGEST = {"cpu": 2**23}  # what a core's cache can still hold a good part of
_LARGEST_ELSEWHERE = 2**28  # a gigabyte of float32


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
        def one(piece: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            scores = logits(piece[0], unembedding)
            total = jax.nn.logsumexp(scores, axis=-1)
            return total - _at(scores, piece[1]), total

        loss, total = jax.lax.map(one, (_cut(hidden, pieces), _cut(targets, pieces)))
        return _join(loss), (hidden, unembedding, total)

    def backward(kept: tuple[jax.Array, ...], cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden, unembedding, total = kept
        weights = unembedding.astype(hidden.dtype)

        def one(gradient: jax.Array, piece: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
            own, target, own_total, weight = piece
            share = jnp.exp(logits(own, unembedding) - own_total[..., None]) * weight[..., None]
            share = share.astype(own.dtype)
            back = _product(share, weights)
            flat = [x.reshape(-1, x.shape[-1]) for x in (share, own)]
            gradient = gradient + _product(flat[0].T, flat[1])
            return gradient, back - weight[..., None] * weights[target].astype(jnp.float32)

        pieces_of = tuple(_cut(x, pieces) for x in (hidden, targets))
        start = jnp.zeros(unembedding.shape, jnp.float32)
        gradient, back = jax.lax.scan(one, start, (*pieces_of, total, _cut(cotangent, pieces)))
        right = cotangent[..., None] * hidden.astype(jnp.float32)
        gradient = gradient.at[targets.reshape(-1)].add(-right.reshape(-1, right.shape[-1]))
        return _join(back).astype(hidden.dtype), gradient.astype(unembedding.dtype)

    split.defvjp(forward, backward)
    return split(hidden, unembedding)


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
