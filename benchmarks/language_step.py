"""Training a language model with AdamW, against AI2's own PyTorch OLMo.

On a CPU the 4M model (windows of 512, batches of 4, float32); on a GPU the 300M model (windows of
2048, batches of 8, bfloat16). Both arms start from the same weights and see the same batches.
PyTorch runs eagerly, as AI2's own training does; on a CPU on all cores and on one thread, and the
faster of the two counts.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import alternate
from benchmarks.token_loader import loader, random_corpus
from rare_retention.config import override
from rare_retention.experiment import Run
from rare_retention.models.architecture import Compute
from rare_retention.optimizer import Optimizer
from rare_retention.parallel import make_mesh
from rare_retention.settings.language import Language
from rare_retention.settings.traced import traced_of
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import Corpus
from rare_retention.train.loop import Programs, arguments, programs
from rare_retention.train.plan import blueprint, sizes

_LOADED = 256  # batches that the loader's arm reads
_TOKENS = 10**7  # of the corpus


class _Case(NamedTuple):
    """What is trained on one kind of device, and the other ways in which ours is timed."""

    size: str
    window: int
    batch: int
    compute: Compute
    others: dict[str, dict[str, str]]
    longest: int  # steps of a call


_CASES = {
    "cpu": _Case(
        "4M",
        512,
        4,
        Compute(attention="blocked"),
        {"attention xla": {"attention": "xla"}, "remat full": {"remat": "full"}},
        longest=2,
    ),
    "gpu": _Case(
        "300M",
        2048,
        8,
        Compute(dtype="bfloat16", attention="cudnn"),
        {"attention xla": {"attention": "xla"}, "remat full": {"remat": "full"}},
        longest=16,
    ),
}


def main(repeats: int, steps: int) -> None:
    """Times all arms in turn and prints medians and ratios."""
    if jax.default_backend() not in _CASES:
        print(f"  no case for {jax.default_backend()}; expected one of {', '.join(_CASES)}")
        return
    case = _CASES[jax.default_backend()]
    steps = min(steps, case.longest)
    with tempfile.TemporaryDirectory() as folder:
        run = _run(case, random_corpus(folder, _TOKENS, held_out=16))
        with _context(run):
            rows = slice(0, run.batch)
            batches = run.setting.batches(run.schedule(), run.seeds.tasks, range(steps), rows)
            ours, own = _compiled(run), arguments(run, make_mesh(run.mesh))
            state = ours.create(own.draw)
            peers = _peers(run, ours, batches)
            arms: dict[str, Callable[[], object]] = {"ours": _training(run, ours, batches)}
            for name, changes in case.others.items():
                text = {f"setting.compute.{field}": value for field, value in changes.items()}
                other = override(run, text)
                arms[name] = _training(other, _compiled(other), batches)
            arms |= peers | {
                "measure": lambda: ours.measure(state, own),
                "loader": loader(run, _LOADED),
            }
            _print(run, case, steps, tuple(peers), alternate(arms, repeats))


def _run(case: _Case, corpus: Corpus) -> Run:
    return Run(
        setting=Language(
            corpus=corpus,
            window=case.window,
            tasks=(Comparison(per_token=1 / (case.batch * case.window)),),
            sizes=(case.size,),
            compute=case.compute,
            evaluated=100,
        ),
        optimizer=Optimizer(
            peak=3e-4, schedule="constant", weight_decay=0.1, beta2=0.95, epsilon=1e-5
        ),
        batch=case.batch,
    )


@contextmanager
def _context(run: Run) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(jax.set_mesh(make_mesh(run.mesh)))
        stack.enter_context(jax.default_matmul_precision(run.matmul_precision))
        stack.enter_context(jax.threefry_partitionable(True))
        yield


def _compiled(run: Run) -> Programs:
    return programs(blueprint(run)._replace(instruments=()), make_mesh(run.mesh))


def _training(run: Run, compiled: Programs, batches: dict[str, np.ndarray]) -> Callable[[], object]:
    """A call of all steps; none of them measures."""
    own = arguments(run, make_mesh(run.mesh))
    state = [compiled.create(own.draw)]
    placed = jax.tree.map(jnp.asarray, batches)
    count = jnp.int32(len(batches["tokens"]))

    def call() -> object:
        state[0] = compiled.run(state[0], own, placed, count)
        return state[0]

    return call


def _peers(
    run: Run, ours: Programs, batches: dict[str, np.ndarray]
) -> dict[str, Callable[[], object]]:
    """One step of AI2's model from our weights, by threads; checks that its first loss is ours."""
    try:
        import torch

        from benchmarks import olmo_loop
    except ImportError as error:
        print(f"  without AI2's OLMo: {error}; setup.cfg says how to install it (extra `bench`)")
        return {}
    params = ours.create(run.seeds.weights).params
    ((group, shape),) = run.setting.architectures.items()
    model = olmo_loop.published(
        shape,
        jax.tree.map(lambda leaf: np.array(leaf[0]), params[group]),
        run.setting.window,
        "cuda" if jax.default_backend() == "gpu" else "cpu",
    )
    dtype = run.setting.compute.dtype
    training = olmo_loop.training(model, run.optimizer, batches["tokens"], dtype)
    _compare(run, params, batches, next(training))

    def step(threads: int) -> Callable[[], object]:
        def call() -> float:
            torch.set_num_threads(threads)
            return next(training)

        return call

    if jax.default_backend() == "gpu":
        return {"PyTorch": step(torch.get_num_threads())}
    return {"PyTorch": step(os.cpu_count() or 1), "PyTorch, one thread": step(1)}


def _compare(run: Run, params: Any, batches: dict[str, np.ndarray], theirs: float) -> None:
    first = {name: jnp.asarray(leaf[0]) for name, leaf in batches.items()}
    own = arguments(run, make_mesh(run.mesh))
    (split,) = jax.jit(traced_of(run.setting).losses)(params, first, own.key, own.numbers).values()
    ours = float(split.by_task.sum())
    allowed = 1e-4 if run.setting.compute.dtype == "float32" else 2e-2
    if abs(ours - theirs) > allowed:
        raise AssertionError(f"the first loss is {ours:.6f}, of PyTorch {theirs:.6f}")
    print(f"  first loss {ours:.6f}, of PyTorch on equal weights {theirs:.6f}")


def _print(
    run: Run, case: _Case, steps: int, peers: tuple[str, ...], seconds: dict[str, np.ndarray]
) -> None:
    step = {name: np.median(own) / steps for name, own in seconds.items()}
    step |= {name: np.median(seconds[name]) for name in (*peers, "measure")}
    tokens, ours = run.batch * run.setting.window, step["ours"]
    flops = sizes(run).flops_per_step / ours
    print(
        f"  {case.size}, window {case.window}, batch {case.batch}, {case.compute.dtype}, "
        f"calls of {steps} steps, medians of {len(seconds['ours'])}\n"
        f"  ours           {_speed(ours, tokens)}, {flops / 1e9:.0f} GFLOP/s "
        f"(attention {case.compute.attention}, remat {case.compute.remat})"
    )
    for name in case.others:
        print(f"  {name:14} {_speed(step[name], tokens)}, {step[name] / ours:.2f} of ours")
    for name in peers:
        print(f"  {name:14} {_speed(step[name], tokens)}")
    if peers:
        best = min(peers, key=lambda name: step[name])
        ratio = seconds[best] / (seconds["ours"] / steps)
        print(
            f"  ratio        {np.median(ratio):8.2f} (from {ratio.min():.2f} to {ratio.max():.2f}) "
            f"over {best}"
        )
    windows = run.setting.corpus.held_out
    loaded = np.median(seconds["loader"]) / _LOADED
    print(
        f"  measure      {step['measure'] / ours:8.2f} steps for a measured state, {windows} "
        f"held-out windows\n"
        f"  loader       {loaded / ours:8.2%} of the step's time"
    )


def _speed(step: float, tokens: int) -> str:
    return f"{step * 1e3:8.0f} ms a step, {tokens / step:,.0f} tokens / s"
