"""Counts the operations of a training step from what is traced, not from what is known of models.

It checks the formulas of the families: two counts that share no code and agree are both believed.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from rare_retention.experiment import Run
from rare_retention.planning.programs import one_row
from rare_retention.settings.language import Language
from rare_retention.settings.setting import Setting
from rare_retention.settings.traced import traced_of
from rare_retention.train.plan import own_numbers

_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def step_flops(run: Run) -> float:
    """Operations of the matrix products of one training step of all students.

    Of the loss of a batch as it is traced: a product costs once forwards, and once more backwards
    for each side that depends on weights. What is computed twice to save memory counts once, and
    attention that a mask halves counts half.
    """
    setting, copies = _plain(run.setting)
    traced, numbers = traced_of(setting), own_numbers(run)
    key = jax.eval_shape(lambda: jax.random.wrap_key_data(numbers.key, impl="threefry2x32"))
    batch = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((run.batch, *leaf.shape[2:]), leaf.dtype), one_row(run)
    )
    params = jax.eval_shape(traced.family.init, np.uint32(0))

    def loss(params: Any, batch: Any, key: Any, asked: Any) -> Any:
        return traced.losses(params, batch, key, asked)

    with jax.threefry_partitionable(True):
        whole = jax.make_jaxpr(loss)(params, batch, key, numbers.numbers)
    weights = len(jax.tree.leaves(params))
    depends = [i < weights for i in range(len(whole.in_avals))]
    length = setting.window if isinstance(setting, Language) else 0
    return copies * products(whole.jaxpr, depends, length)[0]


def _plain(setting: Setting) -> tuple[Setting, int]:
    """A setting whose attention is plain products, one model of each size, and how many it has."""
    if not isinstance(setting, Language):
        return setting, 1
    compute = dataclasses.replace(setting.compute, attention="xla", remat="none")
    alone = dataclasses.replace(setting, compute=compute, initialisations=1)
    return alone, setting.initialisations


def products(
    jaxpr: Jaxpr, depends: Sequence[bool], length: int = 0
) -> tuple[float, tuple[bool, ...]]:
    """Operations of all matrix products, forwards and back, loops by their turns.

    Args:
        jaxpr: what is computed.
        depends: which inputs depend on what gradients are taken of.
        length: positions whose products with each other are causal, so that half of them count;
            0 where there are none.

    Returns:
        Operations, and which outputs depend on it. A loop without a known end counts as one turn.
    """
    known: dict[Any, bool] = dict(zip(jaxpr.invars, depends, strict=True))
    total = 0.0
    for equation in jaxpr.eqns:
        # Literals have a value and no name; they depend on nothing.
        inputs = [not hasattr(v, "val") and known.get(v, False) for v in equation.invars]
        own, outputs = _equation(equation, inputs, length)
        total += own
        for variable, one in zip(equation.outvars, outputs, strict=True):
            known[variable] = one and np.issubdtype(_dtype(variable), np.inexact)
    return total, tuple(
        not hasattr(variable, "val") and known.get(variable, False) for variable in jaxpr.outvars
    )


def _dtype(variable: Any) -> Any:
    dtype = variable.aval.dtype
    # bfloat16 is no type of NumPy's own, and depends on weights as others do.
    return np.float32 if jax.numpy.issubdtype(dtype, jax.numpy.inexact) else np.int32


def _equation(equation: Any, inputs: Sequence[bool], length: int) -> tuple[float, Sequence[bool]]:
    name, given = equation.primitive.name, equation.params
    if name == "dot_general":
        own = _product(equation, length) * (1 + sum(inputs))
        return own, [any(inputs)]
    if name in ("ragged_dot", "ragged_dot_general"):
        rows, inner = equation.invars[0].aval.shape[-2:]
        own = 2.0 * rows * inner * equation.outvars[0].aval.shape[-1]
        return own * (1 + sum(inputs[:2])), [any(inputs)]
    if name == "scan":
        consts, carry = given["num_consts"], given["num_carry"]
        total, outputs = _turn(_open(given["jaxpr"]), inputs, consts, carry, length)
        return total * given["length"], outputs
    if name == "while":
        skipped = given["cond_nconsts"]
        body, consts = _open(given["body_jaxpr"]), given["body_nconsts"]
        inside = inputs[skipped:]
        return _turn(body, inside, consts, len(inside) - consts, length)
    if name == "cond":
        found = [products(_open(b), inputs[1:], length) for b in given["branches"]]
        either = [any(each) for each in zip(*(outputs for _, outputs in found), strict=True)]
        return max(total for total, _ in found), either
    for inner in _INNER:
        if inner in given:
            return products(_open(given[inner]), inputs, length)
    return 0.0, [any(inputs)] * len(equation.outvars)


def _turn(
    body: Jaxpr, inputs: Sequence[bool], consts: int, carry: int, length: int
) -> tuple[float, tuple[bool, ...]]:
    """One turn of a loop, when all that comes to depend on weights in some turn does."""
    inputs = list(inputs)
    while True:
        total, outputs = products(body, inputs, length)
        held = slice(consts, consts + carry)
        after = [a or b for a, b in zip(inputs[held], outputs[:carry], strict=True)]
        if after == inputs[held]:
            return total, outputs
        inputs[held] = after


def _product(equation: Any, length: int) -> float:
    """Operations of one product forwards; a sum weighted by a vector is none of matrices."""
    (contracted, _), (batched, _) = equation.params["dimension_numbers"]
    left, right, out = (v.aval.shape for v in (*equation.invars, *equation.outvars))
    summed = len(contracted) + len(batched)
    if summed in (len(left), len(right)):
        return 0.0
    whole = 2.0 * math.prod(out) * math.prod(left[axis] for axis in contracted)
    between = length and batched and any(s.count(length) > 1 for s in (left, right, out))
    return whole / 2 if between else whole


def _open(jaxpr: Any) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
