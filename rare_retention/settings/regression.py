"""The synthetic setting: bottleneck students on a mixture of regressions (paper Sec. 3)."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from pydantic import Field

from rare_retention.config import ConfigError, config
from rare_retention.data.exposure import Wording
from rare_retention.models.bottleneck import Bottleneck
from rare_retention.models.grouping import tile
from rare_retention.parallel import constrain, shards
from rare_retention.settings import population
from rare_retention.settings.protocol import (
    DRAWS,
    Array,
    Measure,
    Params,
    Student,
    rarest_watched,
    watched,
)
from rare_retention.settings.stacks import Stacks
from rare_retention.settings.task_rows import TaskRows, TracedRows
from rare_retention.tasks.regression import RegressionTasks, targets
from rare_retention.theory.utility import common_set

_TILE = 32


@config
class Regression(TaskRows):
    """Bottleneck students of several widths, each drawn several times; implements `Setting`.

    The tasks are not drawn: their directions are axes of the input, whose distribution is the same
    in every direction.

    Attributes:
        kind: tag of this setting in a config tree.
        tasks: the mixture of regressions.
        widths: N of the students; each at most the number of inputs.
        initialisations: students of each width, which differ in their initial draw only.
        watch: ids of the tasks whose interference is followed; negative ids count from the
            rarest, -1.
    """

    size_field: ClassVar[str] = "widths"
    weights: ClassVar[tuple[str, ...]] = ("encoder", "decoders")

    kind: Literal["regression"] = "regression"
    tasks: RegressionTasks = RegressionTasks()
    widths: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    initialisations: Annotated[int, Field(ge=1, le=DRAWS)] = 1
    watch: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        if not self.widths:
            raise ConfigError("widths", "expected at least one width, got none")
        for i, width in enumerate(self.widths):
            if not 1 <= width <= self.tasks.inputs:
                raise ConfigError(
                    f"widths[{i}]",
                    f"expected a width from 1 to tasks.inputs = {self.tasks.inputs}, got {width}",
                )
        if len(set(self.widths)) < len(self.widths):
            raise ConfigError("widths", f"expected different widths, got {self.widths}")
        watched(self.watch, self.tasks.count)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the K tasks, most frequent first."""
        return tuple(f"regression {k + 1}" for k in range(self.tasks.count))

    @property
    def frequencies(self) -> np.ndarray:
        """Prior pi [K]."""
        return self.tasks.frequencies()

    @property
    def loss_unit(self) -> str:
        """Losses are squared errors."""
        return "mean squared error"

    @property
    def inputs(self) -> int:
        """D."""
        return self.tasks.inputs

    @property
    def draws_inputs(self) -> bool:
        """Inputs are drawn from the step's key."""
        return True

    def constants(self) -> dict[str, tuple[Measure, np.ndarray]]:
        """Prior pi_k and spectra lambda_{k,j}."""
        spectrum = Measure(("task", "direction"), "mean squared error", "eigenvalues lambda_{k,j}")
        return {
            "frequency": (Measure(("task",), "share", "prior pi_k"), self.frequencies),
            "spectrum": (spectrum, self.tasks.spectra()),
        }

    @property
    def wording(self) -> Wording:
        """The prior, or the exponent that it follows from."""
        if not self.tasks.prior:
            return Wording(("tasks.prior_exponent",) * self.tasks.count)
        return Wording(tuple(f"tasks.prior[{k}]" for k in range(self.tasks.count)))

    @property
    def students(self) -> tuple[Student, ...]:
        """All students, by width and then by initialisation, as JAX orders their groups."""
        weights = self.tasks.inputs + self.tasks.count * self.tasks.block  # of a hidden unit
        return tuple(
            Student(_group(width), width, width, width * weights, i)
            for width in sorted(self.widths)
            for i in range(self.initialisations)
        )

    @property
    def measures(self) -> dict[str, Measure]:
        """What `probe` returns."""
        return {
            "loss": Measure(("task",), "mean squared error", "population loss l_k"),
            "signal": Measure(("task",), "share", "captured share s_k(U) = Tr(P_U C_k)/Tr(C_k)"),
            "residual": Measure((), "energy", "residual of the common tasks delta_F(U)"),
            "common_gradient": Measure((), "norm", "|G_F|, G_F = sum_F pi_k dL_k/dW"),
            "rare_gradient": Measure(("watch",), "norm", "|G_r|, G_r = dL_r/dW"),
            "cosine": Measure(("watch",), "1", "cos(G_r, G_F) on the encoder"),
            "basis_gradient": Measure((), "norm", "|G_F(U)| at U = orth(W^T)"),
            "basis_bound": Measure((), "norm", "2 sqrt(lambda_1(M_F) delta_F(U)) (Theorem 4)"),
        }

    def flops(self, batch: int) -> dict[int | str, float]:
        """Encoder forward and backward (4 B D N), decoders forward and backward (6 B d_T N)."""
        unit = batch * (4.0 * self.tasks.inputs + 6.0 * self.tasks.block)
        return {width: width * unit for width in sorted(self.widths)}

    @cached_property
    def traced(self) -> "TracedRegression":
        """The students and what is computed of them."""
        return TracedRegression(
            tasks=self.tasks.count,
            watch_ids=self.watch_ids,
            rarest=rarest_watched(self),
            block_labels=self.labels["block"],
            initialisations=self.initialisations,
            widths=tuple(sorted(self.widths)),
            inputs=self.tasks.inputs,
            block=self.tasks.block,
        )

    def numbers(self, draw: int) -> "Numbers":
        """Spectra, and the prior of the common tasks."""
        del draw
        prior, spectra = self.frequencies, self.tasks.spectra()
        common = np.isin(np.arange(self.tasks.count), common_set(prior))
        mass = np.where(common, prior, 0.0)
        moment = np.zeros(self.tasks.inputs)
        moment[: spectra.size] = (mass[:, None] * spectra).ravel()
        arrays = (np.sqrt(spectra), spectra, mass, moment)
        return Numbers(*(array.astype(np.float32) for array in arrays))


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

        return Stacks({_group(n): partial(draw, n) for n in self.widths}, self.initialisations)

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


def _group(width: int) -> str:
    return f"width_{width:05d}"  # JAX sorts the keys of a dict: padded names sort by width
