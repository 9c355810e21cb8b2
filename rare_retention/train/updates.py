"""From gradients to updates: the optimizer of a run, built from Optax, for one student at a time.

Peak learning rates are arguments of what is built, and may be traced: runs that differ in them
alone share their compiled programs.
"""

import jax
import jax.numpy as jnp
import optax

from rare_retention.optimizer import Optimizer


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
    optimizer: Optimizer, peak: jax.typing.ArrayLike
) -> optax.GradientTransformation:
    """The transformation of one student's gradient into its update.

    Args:
        optimizer: what it is; its own peak plays no part.
        peak: largest learning rate, a scalar that may be traced.
    """
    rate = learning_rate(optimizer, peak)
    adamw = optax.adamw(
        rate,
        b1=optimizer.beta1,
        b2=optimizer.beta2,
        eps=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
    )
    body = adamw if optimizer.method == "adamw" else optax.sgd(rate)
    if optimizer.clip is None:
        return body
    return optax.chain(_clipped(optimizer, optimizer.clip), body)


def _clipped(optimizer: Optimizer, norm: float) -> optax.GradientTransformation:
    if not optimizer.clip_warmup:
        return optax.clip_by_global_norm(norm)

    def most(step: jax.Array) -> jax.Array:
        return jnp.where(step < optimizer.clip_warmup, optimizer.clip_factor * norm, norm)

    return optax.inject_hyperparams(optax.clip_by_global_norm)(max_norm=most)
