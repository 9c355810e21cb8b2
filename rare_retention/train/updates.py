"""From gradients to updates: the optimizer of a run, built from Optax, for one student at a time.

Peak learning rates are arguments of what is built, and may be traced: runs that differ in them
alone share their compiled programs.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rare_retention.optimizer import Optimizer
from rare_retention.settings.matrix import Matrix

Reading = Callable[[str, int], Matrix | None]
"""Name of a weight and number of its axes -> its matrices, if it is any."""


def learning_rate(optimizer: Optimizer, peak: jax.typing.ArrayLike) -> optax.Schedule:
    """Learning rate of the update of a step, as a function of that step.

    Args:
        optimizer: whose schedule it is; its own peak plays no part.
        peak: largest value, a scalar that may be traced.
    """
    body = _ahead(optimizer, peak)
    return lambda step: body(step + optimizer.ahead)


def _ahead(optimizer: Optimizer, peak: jax.typing.ArrayLike) -> optax.Schedule:
    """The schedule as such, which may be read some steps ahead."""
    if optimizer.schedule == "cosine":
        # Optax asks whether the peak is zero, which a traced one cannot answer.
        share = optax.warmup_cosine_decay_schedule(
            optimizer.warmup_from if optimizer.warmup else 1.0,
            1.0,
            optimizer.warmup,
            optimizer.horizon,
            optimizer.final,
        )
        return lambda step: peak * share(step)

    def inverse_sqrt(step: jax.typing.ArrayLike) -> jax.Array:
        time = jnp.asarray(step, jnp.float32) / optimizer.timescale
        return jnp.asarray(peak) / jnp.sqrt(1.0 + time)

    constant = optax.constant_schedule(peak)
    body = inverse_sqrt if optimizer.schedule == "inverse_sqrt" else constant
    if not optimizer.warmup:
        return body
    growth = optax.linear_schedule(optimizer.warmup_from, 1.0, optimizer.warmup)
    return lambda step: growth(step) * body(step)


def transformation(
    optimizer: Optimizer, peak: jax.typing.ArrayLike, matrix: Reading
) -> optax.GradientTransformation:
    """The transformation of one student's gradient into its update.

    Args:
        optimizer: what it is; its own peak plays no part.
        peak: largest learning rate, a scalar that may be traced.
        matrix: how Muon reads each weight, see `Family.matrix`.
    """
    rate = learning_rate(optimizer, peak)
    if optimizer.method == "sgd":
        body = optax.sgd(rate)
    elif optimizer.method == "muon":
        body = _muon(optimizer, rate, matrix)
    else:
        body = _adamw(optimizer, rate)
    if optimizer.clip is None:
        return body
    return optax.chain(_clipped(optimizer, optimizer.clip), body)


def _adamw(optimizer: Optimizer, rate: optax.Schedule) -> optax.GradientTransformation:
    return optax.adamw(
        rate,
        b1=optimizer.beta1,
        b2=optimizer.beta2,
        eps=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
    )


def _muon(
    optimizer: Optimizer, rate: optax.Schedule, matrix: Reading
) -> optax.GradientTransformation:
    """Muon for the matrices, AdamW for the rest.

    Of Optax's own `muon` the pieces: its whole gives AdamW the epsilon and the Nesterov momentum of
    Muon.
    """

    def read(tree: Any) -> Any:
        return jax.tree.map_with_path(lambda path, x: matrix(weight_name(path), x.ndim), tree)

    def axes(tree: Any) -> Any:
        return _of_matrices(lambda own: optax.contrib.MuonDimensionNumbers(*own), read(tree))

    def scaled(updates: Any, _: Any) -> Any:
        def one(own: Matrix, x: jax.Array) -> jax.Array:
            return x * _scale(optimizer.update_rms, *own.sides(x.shape))

        return _of_matrices(one, read(updates), updates)

    def methods(params: Any) -> Any:
        return _of_matrices(lambda own: "muon" if own else "adamw", read(params))

    matrices = optax.chain(
        optax.contrib.scale_by_muon(
            ns_steps=optimizer.newton_schulz,
            beta=optimizer.momentum,
            nesterov=optimizer.nesterov,
            weight_dimension_numbers=axes,
        ),
        optax.stateless(scaled),
        optax.add_decayed_weights(optimizer.weight_decay),
        optax.scale_by_learning_rate(rate),
    )
    rest = _adamw(optimizer, lambda step: optimizer.adam_factor * rate(step))
    return optax.partition({"muon": matrices, "adamw": rest}, methods)


def _of_matrices(function: Callable[..., Any], read: Any, *rest: Any) -> Any:
    """Maps over what each weight was read as, `None` included."""
    return jax.tree.map(
        function, read, *rest, is_leaf=lambda node: node is None or isinstance(node, Matrix)
    )


def _scale(update_rms: float | None, inputs: int, outputs: int) -> float:
    """What an orthogonal matrix is multiplied with, see `Optimizer.update_rms`."""
    if update_rms is None:
        return math.sqrt(max(1.0, outputs / inputs))
    return update_rms * math.sqrt(max(inputs, outputs))


def weight_name(path: tuple[Any, ...]) -> str:
    """Dotted name of a weight, such as "layers.down", from its path in the tree of a student."""
    return ".".join(str(key.key) for key in path)


def _clipped(optimizer: Optimizer, norm: float) -> optax.GradientTransformation:
    if not optimizer.clip_warmup:
        return optax.clip_by_global_norm(norm)

    def most(step: jax.Array) -> jax.Array:
        early = step - optimizer.clip_behind
        larger = (early >= 0) & (early < optimizer.clip_warmup)
        return jnp.where(larger, optimizer.clip_factor * norm, norm)

    return optax.inject_hyperparams(optax.clip_by_global_norm)(max_norm=most)
