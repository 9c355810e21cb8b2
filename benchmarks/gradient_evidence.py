"""What it costs to compare gradients at a step, in operations and in time.

The 4M model, windows of 512, an instance of the comparison task in one sequence of 16, and as many
reference instances as fill 1/64 of the batch's tokens. The measured state (losses of tasks and
text) is taken out of both arms: it is the cost of evaluating, whatever else is measured.
"""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import flops
from benchmarks.timing import alternate
from benchmarks.token_loader import random_corpus
from rare_retention.experiment import Run
from rare_retention.instruments.gradients import Gradients
from rare_retention.optimizer import olmo
from rare_retention.parallel import make_mesh
from rare_retention.settings.language import Language
from rare_retention.tasks import Comparison
from rare_retention.train.loop import arguments
from rare_retention.train.plan import blueprint
from rare_retention.train.state import create
from rare_retention.train.step import Step

_BATCH, _WINDOW = 16, 512
_INSTANCES = _BATCH * _WINDOW // 64 // 3  # of three tokens


def main(repeats: int, steps: int) -> None:
    """Counts and times a step with and without; its calls have one step."""
    del steps
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        run = Run(
            setting=Language(
                corpus=random_corpus(folder, 10**6, held_out=1),
                window=_WINDOW,
                tasks=(Comparison(per_token=1 / (_BATCH * _WINDOW)),),
                sizes=("4M",),
                evaluated=_INSTANCES,
            ),
            optimizer=olmo(1000),
            batch=_BATCH,
        )
        stack.enter_context(jax.set_mesh(make_mesh(run.mesh)))
        stack.enter_context(jax.default_matmul_precision(run.matmul_precision))
        own, bare = arguments(run, make_mesh(run.mesh)), blueprint(run)._replace(instruments=())
        state = jax.jit(lambda draw: create(bare, draw))(own.draw)
        batches = run.setting.batches(run.schedule(), run.seeds.tasks, range(1), slice(None))
        batches = jax.tree.map(jnp.asarray, batches)
        given = (state, own, batches, jnp.int32(1))
        plain, with_ = Step(bare), Step(bare._replace(instruments=(Gradients(),)))
        counts = {name: flops.count(s.advance, *given) for name, s in _named(plain, with_)}
        evaluated = flops.count(plain.measure, state, own)
        arms: dict[str, Callable[[], object]] = {
            name: _call(jax.jit(step.advance), given) for name, step in _named(plain, with_)
        }
        arms["measure"] = _call(jax.jit(plain.measure), (state, own))
        seconds = alternate(arms, repeats)
    measure = seconds["measure"]
    ratio = (seconds["compared"] - measure) / (seconds["plain"] - measure)
    operations = (counts["compared"] - evaluated) / (counts["plain"] - evaluated)
    print(
        f"  4M, window {_WINDOW}, batch {_BATCH}, {_INSTANCES} reference instances, "
        f"medians of {repeats}\n"
        f"  plain step   {np.median(seconds['plain'] - measure) * 1e3:8.0f} ms, "
        f"{(counts['plain'] - evaluated) / 1e9:.1f} GFLOP\n"
        f"  compared     {operations:8.4f} of its operations\n"
        f"  compared     {np.median(ratio):8.3f} of its time "
        f"(from {ratio.min():.3f} to {ratio.max():.3f})"
    )


def _named(plain: Step, compared: Step) -> tuple[tuple[str, Step], ...]:
    return ("plain", plain), ("compared", compared)


def _call(function: Callable[..., object], arguments: tuple[object, ...]) -> Callable[[], object]:
    return lambda: function(*arguments)
