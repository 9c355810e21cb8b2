"""Training bottleneck students on expected gradients, against sampled inputs.

Both arms take the same plain steps with the same optimizer, at the sizes of Fig. 2 (ten widths up
to 256, B = 1024) and of Fig. 4 (five from 32 on, B = 512), D = 1024, K = d_T = 32; nothing is
measured in either.
"""

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import flops
from benchmarks.timing import alternate
from configs.synthetic import phase, retention
from rare_retention.experiment import Run
from rare_retention.parallel import make_mesh
from rare_retention.settings.regression import Regression
from rare_retention.train.loop import arguments, programs
from rare_retention.train.plan import blueprint


def main(repeats: int, steps: int) -> None:
    """Times both arms of each figure in turn and prints medians and ratios."""
    for figure, study in (("Fig. 2", phase.get_config()), ("Fig. 4", retention.get_config())):
        runs = {
            "sampled": study.run,
            "expected": dataclasses.replace(study.run, setting=_expected(study.run.setting)),
        }
        with ExitStack() as stack:
            stack.enter_context(jax.set_mesh(make_mesh(study.run.mesh)))
            stack.enter_context(jax.default_matmul_precision(study.run.matmul_precision))
            stack.enter_context(jax.threefry_partitionable(True))
            counts, arms = {}, {}
            for name, run in runs.items():
                counts[name], arms[name] = _arm(run, steps)
            seconds = alternate(arms, repeats)
        _print(figure, study.run, steps, counts, seconds)


def _expected(setting: object) -> Regression:
    if not isinstance(setting, Regression):
        raise TypeError(f"expected a Regression, got {type(setting).__name__}")
    return dataclasses.replace(setting, gradient="expected")


def _arm(run: Run, steps: int) -> tuple[float, Callable[[], object]]:
    """Operations of a step, and a call of some plain steps."""
    mesh, own = make_mesh(run.mesh), blueprint(run)._replace(instruments=())
    compiled, given = programs(own, mesh), arguments(run, mesh)
    schedule = run.schedule()
    rows = jnp.asarray(np.stack([schedule.rows(step) for step in range(steps)]), jnp.int32)
    state = [compiled.create(given.draw)]

    def call() -> object:
        state[0] = compiled.run(state[0], given, rows, jnp.int32(steps))
        return state[0]

    def gradient(params: object) -> object:
        return jax.grad(lambda p: _total(own.traced.losses(p, rows[0], given.key, given.numbers)))(
            params
        )

    return flops.count(gradient, state[0].params), call


def _total(losses: dict[str, object]) -> jax.Array:
    sums = [own.by_task.sum() for own in losses.values()]
    return jnp.stack(sums).sum()


def _print(
    figure: str, run: Run, steps: int, counts: dict[str, float], seconds: dict[str, np.ndarray]
) -> None:
    ratio = seconds["sampled"] / seconds["expected"]
    print(
        f"  {figure}: {len(run.setting.family.students)} students, batch {run.batch}, calls of "
        f"{steps} steps, medians of {len(ratio)}"
    )
    for name, each in seconds.items():
        print(
            f"    {name:9}{np.median(each) / steps * 1e3:8.1f} ms a step, "
            f"{counts[name] / 1e9:.2f} GFLOP"
        )
    operations = counts["sampled"] / counts["expected"]
    print(
        f"    ratio    {np.median(ratio):8.2f} (from {ratio.min():.2f} to {ratio.max():.2f}); "
        f"of the operations {operations:.2f}"
    )
