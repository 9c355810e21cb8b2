"""Which students take a step: one that diverges is frozen, and spikes may be skipped.

Students train side by side and share nothing, so what becomes of one is no matter of the others.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rare_retention.optimizer import Optimizer
from rare_retention.settings.objective import Losses
from rare_retention.settings.student import Params

Guard = dict[str, jax.Array]
"""What is kept from step to step of the S students of all groups, in their order.

"halted": updates before a student was frozen, -1 while it goes on, int32 [S]. Where spikes are
skipped also "skipped": how many were, int32 [S]; and "window": loss and norm of the gradient of the
last W steps, NaN where there was none, float32 [S, W, 2], that of step t at t mod W.
"""

COUNTS = frozenset({"halted", "skipped"})
"""What of it is said of a run."""


def start(optimizer: Optimizer, params: Params) -> Guard:
    """What is kept before the first step.

    Args:
        optimizer: which says whether spikes are skipped.
        params: weights of all students.
    """
    students = sum(len(jax.tree.leaves(stack)[0]) for stack in params.values())
    halted = jnp.full(students, -1, jnp.int32)
    if optimizer.skip_above is None:
        return {"halted": halted}
    window = jnp.full((students, optimizer.skip_window, 2), jnp.nan)
    return {"halted": halted, "skipped": jnp.zeros(students, jnp.int32), "window": window}


def judge(
    optimizer: Optimizer,
    guard: Guard,
    step: jax.Array,
    losses: Mapping[str, Losses],
    grads: Params,
) -> tuple[dict[str, jax.Array], Guard]:
    """Who takes a step, and what is kept after it.

    A student whose loss or gradient is not finite has diverged: it keeps the weights that it has,
    now and in all later steps. A spike is a loss or a norm of the gradient that exceeds the mean
    of the last W steps by more than `Optimizer.skip_above` of their standard deviations, once half
    of W steps are known; they count skipped steps too, as in OLMo-core's `SkipStepOptimizer`.

    Args:
        optimizer: which says whether spikes are skipped.
        guard: what was kept before.
        step: number of updates applied so far.
        losses: of the step's batch.
        grads: what the optimizer is given.

    Returns:
        For each group whether a student takes the step, bool [S of the group]; and what is kept.
    """
    # Of all groups at once: on a CPU small students are bound by the number of operations.
    loss = jnp.concatenate([_loss(own) for own in losses.values()])
    norm = jnp.concatenate([jax.vmap(optax.tree.norm)(grads[name]) for name in losses])
    diverged = ~(jnp.isfinite(loss) & jnp.isfinite(norm))
    halted = jnp.where((guard["halted"] < 0) & diverged, step, guard["halted"])
    taken, found = halted < 0, {"halted": halted}
    if optimizer.skip_above is not None:
        now, window = jnp.stack([loss, norm], -1), guard["window"]
        spike = taken & _is_spike(now, window, optimizer.skip_above)
        found["skipped"] = guard["skipped"] + spike.astype(jnp.int32)
        found["window"] = window.at[:, step % optimizer.skip_window].set(now)
        taken &= ~spike
    return _by_group(taken, losses), found


def where(taken: Mapping[str, jax.Array], new: Any, old: Any) -> Any:
    """Of each student the new leaves if it takes the step, else the old ones.

    Args:
        taken: of each group, bool [S of the group].
        new: a tree for each group, every leaf with a leading axis of its students.
        old: the same, or a number for all leaves.
    """

    def one(mask: jax.Array, ours: jax.Array, before: Any) -> jax.Array:
        return jnp.where(mask.reshape(-1, *[1] * (ours.ndim - 1)), ours, before)

    found = {}
    for name, tree in new.items():
        before = old[name] if isinstance(old, Mapping) else jax.tree.map(lambda _: old, tree)
        found[name] = jax.tree.map(lambda a, b, mask=taken[name]: one(mask, a, b), tree, before)
    return found


def _loss(losses: Losses) -> jax.Array:
    total: jax.Array = losses.by_task.sum(-1) + sum(losses.apart.values())
    return total


def _is_spike(now: jax.Array, window: jax.Array, above: float) -> jax.Array:
    """Whether a loss or norm [S, 2] exceeds what came before it [S, W, 2]; bool [S]."""
    known = jnp.isfinite(window[..., 0]).sum(-1)
    mean, deviation = jnp.nanmean(window, 1), jnp.nanstd(window, 1, ddof=1)
    enough = known + 1 >= max(2, window.shape[1] // 2)
    return enough & (now - mean > above * deviation).any(-1)


def _by_group(values: jax.Array, losses: Mapping[str, Losses]) -> dict[str, jax.Array]:
    """Values [S] of all students by their groups."""
    found, first = {}, 0
    for name, own in losses.items():
        last = first + len(own.by_task)
        found[name] = values[first:last]
        first = last
    return found
