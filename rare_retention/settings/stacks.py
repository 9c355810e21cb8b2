"""Students as stacks: NNX modules of equal shape become one pytree with a leading student axis."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import PartitionSpec

from rare_retention.parallel import RULES, logical_names
from rare_retention.settings.student import DRAWS, Params

Draw = Callable[[jax.typing.ArrayLike], nnx.Module]
"""Number of the initial draw -> a freshly drawn model."""


class Stacks:
    """The students of a setting, group by group.

    Attributes:
        draws: group -> how a student of it is drawn; groups sort by name as their sizes do.
        initialisations: students of each group.
    """

    def __init__(self, draws: Mapping[str, Draw], initialisations: int) -> None:
        self.draws = dict(sorted(draws.items()))
        self.initialisations = initialisations

    def init(self, draw: jax.typing.ArrayLike) -> Params:
        """Initial weights: for each group a tree whose leaves [R, ...] stack its R students.

        Args:
            draw: number of the run's draw, from 0 to `DRAWS` - 1. Student i of a group has the
                model's draw number draw * DRAWS + i, so that no two runs share one.
        """
        first = jnp.asarray(draw, jnp.uint32) * jnp.uint32(DRAWS)
        return {name: self._stack(model, first) for name, model in self.draws.items()}

    def _stack(self, draw: Draw, first: jax.Array) -> Any:
        def weights(initialisation: jax.typing.ArrayLike) -> Any:
            with logical_names():  # the run lays out whole stacks, by `partition`
                return nnx.to_pure_dict(nnx.state(draw(initialisation)))

        if self.initialisations == 1:
            return jax.tree.map(lambda leaf: leaf[None], weights(first))
        # Not vmap: batched LAPACK calls of several shapes can deadlock on CPU (jaxlib 0.10).
        return jax.lax.map(weights, first + jnp.arange(self.initialisations, dtype=jnp.uint32))

    def partition(self) -> Params:
        """Partition over the mesh of every leaf of `init`."""

        def stacked(own: PartitionSpec) -> PartitionSpec:
            return PartitionSpec(RULES["student"], *own)

        def specs(draw: Draw) -> Any:
            with logical_names():
                state = nnx.state(nnx.eval_shape(lambda: draw(jnp.int32(0))))
                own = nnx.to_pure_dict(nnx.get_partition_spec(state))
            return jax.tree.map(stacked, own, is_leaf=lambda x: isinstance(x, PartitionSpec))

        return {name: specs(draw) for name, draw in self.draws.items()}

    @cached_property
    def _graphs(self) -> dict[str, Any]:
        with logical_names():
            return {
                name: nnx.split(nnx.eval_shape(lambda draw=draw: draw(jnp.int32(0))))[0]
                for name, draw in self.draws.items()
            }

    def map(
        self, function: Callable[[Any], Any], params: Params, *, one_by_one: bool = False
    ) -> dict[str, Any]:
        """Applies a function of one model to every student.

        Args:
            function: of a model; what it returns is stacked.
            params: weights of all students.
            one_by_one: run the students of a group one after another.

        Returns:
            For each group what the function returned, each leaf [R, ...].
        """

        def group(name: str, weights: Any) -> Any:
            def one(own: Any) -> Any:
                return function(nnx.merge(self._graphs[name], own))

            if one_by_one:
                return jax.lax.map(one, weights)
            if self.initialisations == 1:  # fused kernels need not learn of a student axis
                result = one(jax.tree.map(lambda leaf: leaf[0], weights))
                return jax.tree.map(lambda leaf: leaf[None], result)
            # Named, or `shard_map` and constraints inside would gather all students everywhere.
            return jax.vmap(one, spmd_axis_name=RULES["student"])(weights)

        return {name: group(name, weights) for name, weights in params.items()}
