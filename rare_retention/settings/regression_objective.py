"""Bottleneck students inside compiled programs: losses by task, and what is measured of them."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rare_retention.models.bottleneck import Bottleneck
from rare_retention.models.grouping import Tiles, tile
from rare_retention.parallel import constrain, shards
from rare_retention.settings import population
from rare_retention.settings.objective import Array, Losses
from rare_retention.settings.quantity import Quantity
from rare_retention.settings.row_objective import RowObjective

_TILE = 32


class Numbers(NamedTuple):
    """Arguments of the objective, float32.

    Attributes:
        scale: square roots of the spectra, [K, d_T].
        spectra: eigenvalues lambda, [K, d_T].
        mass: prior of the common tasks, 0 for the others, [K].
        moment: the diagonal of M_F, the common tasks' part of the second moment, [D].
    """

    scale: Array
    spectra: Array
    mass: Array
    moment: Array


class Rows(NamedTuple):
    """A batch of B rows, in tiles of one task each, cut into a piece for each device.

    Attributes:
        x: inputs [pieces, B / pieces, D].
        y: targets [pieces, B / pieces, d_T].
        tiles: where the rows stand, `models.grouping.Tiles` of each piece.
        owner: task of each tile, one-hot [pieces, T, K].
    """

    x: jax.Array
    y: jax.Array
    tiles: Tiles
    owner: jax.Array


@dataclass(frozen=True, kw_only=True)
class PopulationValues(RowObjective):
    """Base of the objectives of the bottleneck students: what is measured of them.

    These are losses, captured shares and gradients on the whole population, which have closed
    forms.

    Attributes:
        dimension: D, of the inputs.
    """

    loss_unit = "mean squared error"
    # Batched LAPACK calls of several widths can deadlock on CPU (jaxlib 0.10).
    probes_one_by_one = True

    dimension: int

    @property
    def quantities(self) -> dict[str, Quantity]:
        """What `probe` returns."""
        return {
            "loss": Quantity(("task",), "mean squared error", "population loss l_k"),
            "signal": Quantity(("task",), "share", "captured share s_k(U) = Tr(P_U C_k)/Tr(C_k)"),
            "residual": Quantity((), "energy", "residual of the common tasks delta_F(U)"),
            "common_gradient": Quantity((), "norm", "|G_F|, G_F = sum_F pi_k dL_k/dW"),
            "rare_gradient": Quantity(("watch",), "norm", "|G_r|, G_r = dL_r/dW"),
            "cosine": Quantity(("watch",), "1", "cos(G_r, G_F) on the encoder"),
            "basis_gradient": Quantity((), "norm", "|G_F(U)| at U = orth(W^T)"),
            "basis_bound": Quantity((), "norm", "2 sqrt(lambda_1(M_F) delta_F(U)) (Theorem 4)"),
        }

    def reference(self, model: Bottleneck, numbers: Numbers) -> jax.Array:
        """Population loss of the watched tasks, [len(watch)]."""
        weights = model.encoder[...], model.decoders[...], numbers.scale
        return jnp.stack([population.task_loss(*weights, k) for k in self.watch_ids])

    def probe(self, model: Bottleneck, numbers: Numbers) -> dict[str, jax.Array]:
        """Population values of a student."""
        encoder, decoders = model.encoder[...], model.decoders[...]
        errors = population.residuals(encoder, decoders, numbers.scale)

        g_common = population.encoder_gradient(numbers.mass, decoders, errors)
        g_rare = jnp.stack([2 * decoders[k].T @ errors[k] for k in self.watch_ids])
        norms = jnp.sqrt(jnp.square(g_rare).sum((-2, -1)))
        norm = jnp.linalg.norm(g_common)
        inner = (g_rare * g_common[None]).sum((-2, -1))

        basis, moment = population.row_basis(encoder), numbers.moment
        residual = (moment * (1 - jnp.square(basis).sum(0))).sum()
        return {
            "loss": jnp.square(errors).sum((-2, -1)),
            "signal": population.signals(basis, numbers.spectra),
            "residual": residual,
            "common_gradient": norm,
            "rare_gradient": norms,
            "cosine": inner / jnp.maximum(norm * norms, jnp.finfo(jnp.float32).tiny),
            "basis_gradient": jnp.linalg.norm(population.common_gradient(basis, moment)),
            "basis_bound": 2 * jnp.sqrt(moment.max() * jnp.maximum(residual, 0.0)),
        }


@dataclass(frozen=True, kw_only=True)
class SquaredErrors(PopulationValues):
    """Squared error of each row, summed over its d_T targets; implements `Objective`."""

    def inputs(self, batch: jax.Array, key: jax.Array, numbers: Numbers) -> Rows:
        """Freshly drawn inputs of a batch, and their targets."""
        rows, pieces = batch.shape[0], shards("batch")
        x = constrain(jax.random.normal(key, (rows, self.dimension)), "batch", None)
        y = targets(numbers.scale, x, batch)
        x, y, task = (
            constrain(a.reshape(pieces, rows // pieces, *a.shape[1:]), "batch")
            for a in (x, y, batch)
        )
        tiles = jax.vmap(lambda ids: tile(ids, self.tasks, _TILE))(task)
        return Rows(x, y, tiles, jax.nn.one_hot(tiles.task, self.tasks))

    def losses(self, model: Bottleneck, inputs: Rows) -> Losses:
        """Mean squared error of the rows, split by task."""
        x, y, tiles, owner = inputs
        rows = x.shape[0] * x.shape[1]
        error = jax.vmap(model)(x, tiles) - jax.vmap(lambda a, i: a[i])(y, tiles.source)
        error = error * tiles.filled[..., None]
        return Losses(jnp.einsum("ptk,pt->k", owner, jnp.square(error).sum((-2, -1))) / rows)


def targets(scale: jax.Array, x: jax.Array, task: jax.Array) -> jax.Array:
    """Targets y = Lambda_k^(1/2) B_k^T x of rows that belong to different tasks.

    Args:
        scale: square roots of the spectra, [K, d_T].
        x: inputs, [..., B, D] with D >= K d_T.
        task: task of each row, int [..., B].

    Returns:
        y, [..., B, d_T].
    """
    tasks, block = scale.shape
    blocks = x[..., : tasks * block].reshape(*x.shape[:-1], tasks, block)
    own = jnp.take_along_axis(blocks, task[..., None, None], axis=-2)[..., 0, :]
    return own * scale[task]
