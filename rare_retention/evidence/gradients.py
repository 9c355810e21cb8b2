"""How the parts of a batch's gradient stand to a rare task's own (paper Fig. 9).

A measured step records the Gram matrix of a few gradients on each block of weights: of the terms of
each watched task in the batch, of all others, of each watched task's reference loss, and the update
that the optimizer made. Norms, cosines and first-order effects of any sums of them follow from it.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

OTHERS, UPDATE = "batch others", "update"
"""Names of the gradient of the batch's other terms, and of the update."""

Sum = Mapping[str, float]
"""A weighted sum of the recorded vectors, by their names."""


def batch_of(task: str) -> str:
    """Name of the gradient of a task's terms in the batch."""
    return f"batch {task}"


def reference_of(task: str) -> str:
    """Name of the gradient of a task's reference loss, g_r."""
    return f"reference {task}"


def names(watched: tuple[str, ...]) -> tuple[str, ...]:
    """Names of all recorded vectors, in their order.

    Args:
        watched: names of the watched tasks.
    """
    return (*map(batch_of, watched), OTHERS, *map(reference_of, watched), UPDATE)


def injected(gram: xr.DataArray) -> Sum:
    """g_t: the gradient of the batch's terms that belong to watched tasks."""
    found = (str(name) for name in gram["vector"].to_numpy())
    return {name: 1.0 for name in found if name.startswith("batch ") and name != OTHERS}


def whole(gram: xr.DataArray) -> Sum:
    """g = g_t + g_nt: the gradient of the batch."""
    return {**injected(gram), OTHERS: 1.0}


def inner(gram: xr.DataArray, a: Sum, b: Sum) -> xr.DataArray:
    """Inner product of two sums.

    Args:
        gram: with dimensions `vector` and `other` of the same names.
        a: one sum.
        b: the other.
    """
    weights = (_weights(gram, sum_) for sum_ in (a, b))
    left, right = (
        xr.DataArray(values, {dim: gram[dim]}, (dim,))
        for values, dim in zip(weights, ("vector", "other"), strict=True)
    )
    wide: xr.DataArray = gram.astype(np.float64) * left * right
    return wide.sum(("vector", "other"), skipna=False)


def norm(gram: xr.DataArray, a: Sum) -> xr.DataArray:
    """Norm of a sum; rounding below zero counts as zero."""
    size: xr.DataArray = inner(gram, a, a).clip(0.0) ** 0.5
    return size


def cosine(gram: xr.DataArray, a: Sum, b: Sum) -> xr.DataArray:
    """Cosine of two sums; NaN where one of them is zero."""
    size = norm(gram, a) * norm(gram, b)
    return inner(gram, a, b) / size.where(size > 0)


def _weights(gram: xr.DataArray, chosen: Sum) -> np.ndarray:
    known = [str(name) for name in gram["vector"].to_numpy()]
    if missing := [name for name in chosen if name not in known]:
        raise ValueError(f"expected vectors out of {', '.join(known)}, got {', '.join(missing)}")
    return np.array([chosen.get(name, 0.0) for name in known])
