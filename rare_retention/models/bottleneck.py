"""The bottleneck student of the synthetic setting: one narrow encoder, a decoder for each task."""

import jax
import jax.numpy as jnp
from flax import nnx

from rare_retention.models.grouping import Tiles, spread


class Bottleneck(nnx.Module):
    """Linear student yhat_k = D_k W x with a shared encoder W of width N (paper Sec. 3, App. B.1).

    Attributes:
        encoder: W [N, D], rows orthonormal at the start.
        decoders: D_k for all tasks [K, d_T, N], Kaiming-uniform with fan-in N and linear gain.
    """

    def __init__(self, width: int, inputs: int, tasks: int, block: int, *, rngs: nnx.Rngs) -> None:
        """Draws the initial weights.

        Args:
            width: N, at most `inputs`.
            inputs: D.
            tasks: K.
            block: d_T.
            rngs: its `params` stream seeds the weights.
        """
        orthonormal = nnx.initializers.orthogonal()
        kaiming = nnx.initializers.variance_scaling(
            1.0, "fan_in", "uniform", in_axis=-1, out_axis=-2, batch_axis=(0,)
        )
        self.encoder = nnx.Param(
            orthonormal(rngs.params(), (width, inputs)), out_sharding=("hidden", "inputs")
        )
        self.decoders = nnx.Param(
            kaiming(rngs.params(), (tasks, block, width)),
            out_sharding=("task", "direction", "hidden"),
        )

    def __call__(self, x: jax.Array, tiles: Tiles) -> jax.Array:
        """Predictions in tiles.

        Args:
            x: inputs, [B, D].
            tiles: layout of the B rows.

        Returns:
            yhat [T, t, d_T]; slots of padding hold the prediction for row 0.
        """
        hidden = spread(x @ self.encoder[...].T, tiles)
        return jnp.einsum("tbn,tjn->tbj", hidden, self.decoders[...][tiles.task])
