"""Bottleneck students on the expected loss of a batch: exact inputs in place of sampled ones.

A batch says how many rows each task has. Given these, inputs x ~ N(0, I_D) can be averaged over:
E[x x^T] = I turns the mean squared error into a quadratic form of the weights. Its gradient is the
mean of the gradients of sampled batches with the same rows, and costs products of N x N x D numbers
where those of rows cost B x N x D.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rare_retention.models.bottleneck import Bottleneck
from rare_retention.parallel import platform
from rare_retention.settings.objective import Losses
from rare_retention.settings.regression_objective import Numbers, PopulationValues

_TILE = 16  # numbers of a cache line


class Expected(NamedTuple):
    """What a batch is to students that are shown no rows.

    Attributes:
        share: of each task in the rows, w_k = n_k / B, [K].
        scale: square roots of the spectra, [K, d_T].
    """

    share: jax.Array
    scale: jax.Array


@dataclass(frozen=True, kw_only=True)
class ExpectedErrors(PopulationValues):
    """Squared error that a batch's rows are expected to have; implements `Objective`."""

    def inputs(self, batch: jax.Array, key: jax.Array, numbers: Numbers) -> Expected:
        """Shares of the tasks in a batch; nothing is drawn."""
        del key
        return Expected(self.shares(batch), jnp.asarray(numbers.scale))

    def losses(self, model: Bottleneck, inputs: Expected) -> Losses:
        """Expected mean squared error of the rows, split by task."""
        return Losses(expected_losses(model.encoder[...], model.decoders[...], *inputs))


@jax.custom_vjp
def expected_losses(
    encoder: jax.Array, decoders: jax.Array, share: jax.Array, scale: jax.Array
) -> jax.Array:
    """Contributions w_k ||D_k W - A_k||_F^2 of the tasks to the expected loss of a batch.

    With G = W W^T and A_k = Lambda_k^(1/2) B_k^T, which picks rows of W^T, row j of a decoder has
    the squared error d_j G d_j^T - 2 s_j (d_j W)_j + s_j^2, so that no product is as large as
    D_k W. The gradients are

        dD_k = 2 w_k (D_k G - Lambda_k^(1/2) B_k^T W^T)
        dW = 2 (sum_k w_k D_k^T D_k) W - 2 sum_k w_k D_k^T Lambda_k^(1/2) B_k^T.

    Derivatives with respect to the weights are reverse-mode alone; share and scale have none.

    Args:
        encoder: W [N, D].
        decoders: D_k [K, d_T, N], of tasks that own the first K d_T coordinates in order.
        share: w_k, of each task in the rows of the batch, [K].
        scale: square roots of the spectra, s [K, d_T].

    Returns:
        [K]; never negative, and 0 for a task without rows.
    """
    return _forward(encoder, decoders, share, scale)[0]


class _Kept(NamedTuple):
    """What the gradients need: the arguments, and D_k G - Lambda_k^(1/2) B_k^T W^T, [K d_T, N]."""

    encoder: jax.Array
    decoders: jax.Array
    share: jax.Array
    scale: jax.Array
    pull: jax.Array


def _forward(
    encoder: jax.Array, decoders: jax.Array, share: jax.Array, scale: jax.Array
) -> tuple[jax.Array, _Kept]:
    flat = decoders.reshape(-1, len(encoder))
    target = scale.reshape(-1, 1) * _transposed(encoder[:, : len(flat)])
    pull = flat @ (encoder @ encoder.T) - target
    error = (flat * (pull - target)).sum(-1).reshape(scale.shape) + jnp.square(scale)
    # What is learned to rounding may come out below zero, as a difference of larger numbers.
    losses = share * jnp.maximum(error.sum(-1), 0.0)
    return losses, _Kept(encoder, decoders, share, scale, pull)


def _transposed(a: jax.Array) -> jax.Array:
    """A matrix [m, n] as [n, m].

    On CPU in tiles of whole cache lines: XLA reads a column number by number, which made a step of
    Fig. 2's students a quarter longer.
    """
    rows, columns = a.shape
    if platform() != "cpu" or columns % _TILE or columns == _TILE:
        return a.T
    tiles = a.reshape(rows, -1, _TILE).swapaxes(0, 1)
    return jax.lax.map(jnp.transpose, tiles).reshape(columns, rows)


def _backward(kept: _Kept, cotangent: jax.Array) -> tuple[jax.Array, jax.Array, None, None]:
    encoder, decoders, share, scale, pull = kept
    weight = jnp.repeat(2 * cotangent * share, scale.shape[1])[:, None]
    flat = decoders.reshape(pull.shape)
    weighted = weight * flat
    spare = encoder.shape[1] - len(flat)  # inputs of no task
    wanted = jnp.pad(_transposed(weighted * scale.reshape(-1, 1)), ((0, 0), (0, spare)))
    return (
        (flat.T @ weighted) @ encoder - wanted,
        (weight * pull).reshape(decoders.shape),
        None,
        None,
    )


expected_losses.defvjp(_forward, _backward)
