"""Training many bottleneck students on one stream, against a plain PyTorch loop.

Both arms train the students of Fig. 4 (D = B = 1024, K = d_T = 32, six widths, four draws each)
with AdamW and clipped gradients. PyTorch trains one student after another, two steps of each: all
its steps are alike. It runs on all cores and on one, as its threads wait for each other on a busy
machine; the faster of the two counts.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import alternate
from rare_retention.experiment import Exposure, Run
from rare_retention.instruments.effect import Effect
from rare_retention.parallel import make_mesh
from rare_retention.settings.regression import Regression
from rare_retention.train.loop import Programs, arguments, programs
from rare_retention.train.pipeline import chunks
from rare_retention.train.plan import blueprint, sizes

_TORCH_STEPS = 2
_CHUNKS = 8  # that a call of the loader's arms reads
_PRODUCTS = 16  # of the matmul arm, so that a call outlasts the clock's jitter


def main(repeats: int, steps: int) -> None:
    """Times all arms in turn and prints medians and ratios."""
    run = Run(
        setting=Regression(initialisations=4),
        exposure=Exposure(placement="burst", gap=64, background="even"),
        batch=1024,
    )
    with _context(run):
        rows = _rows(run, steps)
        plain, effect = (_compiled(run, effect) for effect in (False, True))
        own = arguments(run, make_mesh(run.mesh))
        state = plain.create(own.draw)
        arms: dict[str, Callable[[], object]] = {
            "plain": _advance(run, plain, rows),
            "torch": _torch(run, rows, os.cpu_count() or 1),
            "torch, one thread": _torch(run, rows, 1),
            "effect": _advance(run, effect, rows),
            "measure": lambda: plain.measure(state, own),
            "matmul": _matmul(),
            "loader": _loader(run, steps),
            "gather": _gather(run, steps),
        }
        _print(run, steps, alternate(arms, repeats))


@contextmanager
def _context(run: Run) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(jax.set_mesh(make_mesh(run.mesh)))
        stack.enter_context(jax.default_matmul_precision(run.matmul_precision))
        stack.enter_context(jax.threefry_partitionable(True))
        yield


def _compiled(run: Run, effect: bool) -> Programs:
    own = blueprint(run)._replace(instruments=(Effect(),) * effect)
    return programs(own, make_mesh(run.mesh))


def _advance(run: Run, compiled: Programs, rows: np.ndarray) -> Callable[[], object]:
    """A call of all steps, the last one measured; less `measure`, that is what plain steps cost."""
    own = arguments(run, make_mesh(run.mesh))
    state = [compiled.create(own.draw)]
    batches, count = jnp.asarray(rows), jnp.int32(len(rows))

    def call() -> object:
        state[0], measured = compiled.advance(state[0], own, batches, count)
        return state[0], measured

    return call


def _torch(run: Run, rows: np.ndarray, threads: int) -> Callable[[], object]:
    import torch

    from benchmarks.torch_loop import training

    students = [
        training(student.width, run.setting.constants()["spectrum"][1], run.setting.inputs, rows)
        for student in run.setting.family.students
    ]

    def call() -> None:
        torch.set_num_threads(threads)
        for student in students:
            for _ in range(_TORCH_STEPS):
                next(student)

    return call


def _matmul() -> Callable[[], object]:
    a, b = jnp.ones((1024, 1024)), jnp.ones((1024, 2048))
    product = jax.jit(jnp.matmul)
    return lambda: [product(a, b) for _ in range(_PRODUCTS)]


def _rows(run: Run, steps: int) -> np.ndarray:
    schedule = run.schedule()
    return np.stack([schedule.rows(step) for step in range(steps)]).astype(np.int32)


def _loader(run: Run, steps: int) -> Callable[[], object]:
    """The pipeline as the loop uses it, from its start through some chunks of `steps` steps."""
    schedule, mesh = run.schedule(), make_mesh(run.mesh)
    stops = range(steps, (_CHUNKS + 1) * steps, steps)
    source = functools.partial(run.setting.batches, schedule, run.seeds.tasks)
    return lambda: [chunk.batches for chunk in chunks(source, run.batch, stops, 0, mesh, steps)]


def _gather(run: Run, steps: int) -> Callable[[], object]:
    """What no loader can beat: as many rows from a table in memory, in random order."""
    rng = np.random.default_rng(0)
    table = rng.integers(0, 32, 2**20, dtype=np.int32)
    picked = itertools.cycle([rng.integers(0, table.size, (steps, run.batch)) for _ in range(3)])
    return lambda: [table[next(picked)] for _ in range(_CHUNKS)]


def _print(run: Run, steps: int, seconds: dict[str, np.ndarray]) -> None:
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    students = len(run.setting.family.students)
    measure = median["measure"]
    plain, effect = ((median[name] - measure) / steps for name in ("plain", "effect"))
    best = min(("torch", "torch, one thread"), key=lambda name: median[name])
    torch = median[best] / _TORCH_STEPS
    ratio = seconds[best] / _TORCH_STEPS / ((seconds["plain"] - measure) / steps)
    matmul = _PRODUCTS * 2 * 1024 * 1024 * 2048 / median["matmul"]
    flops = sizes(run).flops_per_step / plain
    rows = _CHUNKS * steps * run.batch
    waits = median["loader"] / (_CHUNKS * steps * plain)
    print(
        f"  {students} students, calls of {steps} steps, medians of {len(ratio)}\n"
        f"  ours         {_speed(plain, students)}\n"
        f"  PyTorch      {_speed(torch, students)} ({best})\n"
        f"  ratio        {np.median(ratio):8.2f} (from {ratio.min():.2f} to {ratio.max():.2f})\n"
        f"  matmul       {matmul / 1e9:8.1f} GFLOP/s float32, 1024 x 1024 x 2048\n"
        f"  our step     {flops / 1e9:8.1f} GFLOP/s, {flops / matmul:.1%} of it\n"
        f"  effect       {effect / plain:8.3f} of a plain step, with the first-order effect\n"
        f"  measure      {measure / plain:8.2f} plain steps for a measured state\n"
        f"  loader       {rows / median['loader']:8.3g} rows / s, {waits:.2%} of the step's time\n"
        f"  gather       {rows / median['gather']:8.3g} rows / s, bare NumPy; "
        f"the loader has {median['gather'] / median['loader']:.1%} of it"
    )


def _speed(step: float, students: int) -> str:
    return f"{step * 1e3:8.1f} ms a step, {students / step:.0f} students x steps / s"
