"""Bottleneck students inside compiled programs: losses by task, and what is measured of them."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rare_retention.models.bottleneck import Bottleneck
from rare_retention.models.grouping import tile
from rare_retention.parallel import constrain, shards
from rare_retention.settings import population
from rare_retention.settings.protocol import Array, Params
from rare_retention.settings.stacks import Stacks
from rare_retention.settings.task_rows import group
from rare_retention.settings.traced_rows import TracedRows

_TILE = 32


class Numbers(NamedTuple):
    """Arguments of the traced methods, float32.

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


@dataclass(frozen=True, kw_only=True)
class TracedRegression(TracedRows):
    """Bottleneck students on batches and on the population; implements `Traced`.

    Attributes:
        widths: N of the students, ascending.
        inputs: D.
        block: d_T.
    """

    widths: tuple[int, ...]
    inputs: int
    block: int

    @cached_property
    def _stacks(self) -> Stacks:
        def draw(width: int, initialisation: jax.typing.ArrayLike) -> Bottleneck:
            key = jax.random.fold_in(jax.random.key(width, impl="threefry2x32"), initialisation)
            return Bottleneck(width, self.inputs, self.tasks, self.block, rngs=nnx.Rngs(key))

        return Stacks(
            {group("width", n): partial(draw, n) for n in self.widths}, self.initialisations
        )

    def losses(
        self, params: Params, batch: jax.Array, key: jax.Array, numbers: Numbers
    ) -> dict[str, jax.Array]:
        """Squared error of a freshly drawn batch, split by task; see `Traced.losses`."""
        rows, pieces = batch.shape[0], shards("batch")
        x = constrain(jax.random.normal(key, (rows, self.inputs)), "batch", None)
        y = targets(numbers.scale, x, batch)
        x, y, task = (
            constrain(a.reshape(pieces, rows // pieces, *a.shape[1:]), "batch")
            for a in (x, y, batch)
        )
        tiles = jax.vmap(lambda ids: tile(ids, self.tasks, _TILE))(task)
        owner = jax.nn.one_hot(tiles.task, self.tasks)

        def by_task(student: Bottleneck) -> jax.Array:
            prediction = jax.vmap(student)(x, tiles)
            error = prediction - jax.vmap(lambda a, i: a[i])(y, tiles.source)
            error = error * tiles.filled[..., None]
            return jnp.einsum("ptk,pt->k", owner, jnp.square(error).sum((-2, -1))) / rows

        return self._stacks.map(by_task, params)

    def reference(self, params: Params, numbers: Numbers) -> dict[str, jax.Array]:
        """Population loss of the watched tasks, [R, len(watch)] for each width."""

        def one(student: Bottleneck) -> jax.Array:
            weights = student.encoder[...], student.decoders[...], numbers.scale
            return jnp.stack([population.task_loss(*weights, k) for k in self.watch_ids])

        return self._stacks.map(one, params)

    def probe(self, params: Params, numbers: Numbers) -> dict[str, dict[str, jax.Array]]:
        """Population values of `measures` for each width, each with a leading student axis."""
        one = partial(self._probe, numbers)
        # Not vmap: batched LAPACK calls of several widths can deadlock on CPU (jaxlib 0.10).
        return {name: jax.lax.map(one, weights) for name, weights in params.items()}

    def _probe(self, numbers: Numbers, weights: dict[str, jax.Array]) -> dict[str, jax.Array]:
        encoder, decoders = weights["encoder"], weights["decoders"]
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
