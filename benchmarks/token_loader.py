"""Reading batches from token files, against a bare gather from a memory map.

The loader shuffles, checks ids, injects comparisons at the paper's 2.4e-5 a token and hands the
batches to JAX as uint16. The gather takes as many windows in random order, drawn beforehand, in
pieces of the same size; like the loop it holds three pieces at a time, in memory that it uses
again. A second gather also casts to the int32 that a model reads. All from the page cache; the
loader has two threads, the gathers one.
"""

import collections
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from benchmarks.timing import alternate
from rare_retention.experiment import Run
from rare_retention.parallel import make_mesh
from rare_retention.settings.language import Language
from rare_retention.tasks import Comparison
from rare_retention.text.corpus import AI2_END_OF_DOCUMENT, Corpus
from rare_retention.train.pipeline import LARGEST, chunks

_SHAPES = ((2048, 256), (2048, 1024), (512, 1024))  # window, batch
_TOKENS = 10**8  # in the file, 200 MB
_READ = 2**28  # tokens that a call reads
_HELD = 3  # pieces: two that are ready, one in use


def main(repeats: int, steps: int) -> None:
    """Times loader and gather for each shape in turn; its calls have a length of their own."""
    del steps
    with tempfile.TemporaryDirectory() as folder:
        corpus = random_corpus(folder, _TOKENS)
        for window, batch in _SHAPES:
            run = Run(
                setting=Language(corpus=corpus, window=window, tasks=(Comparison(),)), batch=batch
            )
            count = _READ // (window * batch)
            arms: dict[str, Callable[[], object]] = {
                "loader": loader(run, count),
                "gather": _gather(folder, window, _READ, np.uint16),
                "cast": _gather(folder, window, _READ, np.int32),
            }
            seconds = alternate(arms, repeats)
            ratio, cast = (seconds[name] / seconds["loader"] for name in ("gather", "cast"))
            speed = {name: _READ / window / np.median(own) for name, own in seconds.items()}
            print(
                f"  window {window}, batch {batch}: loader {speed['loader']:.3g} rows / s, gather "
                f"{speed['gather']:.3g}, ratio {np.median(ratio):.2f} "
                f"(from {ratio.min():.2f} to {ratio.max():.2f}), to gather and cast "
                f"{np.median(cast):.2f} (from {cast.min():.2f} to {cast.max():.2f})"
            )


def random_corpus(folder: str, tokens: int, held_out: int = 64) -> Corpus:
    """A corpus of one file of random ids, in the type and the vocabulary of AI2's."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, AI2_END_OF_DOCUMENT, tokens, dtype=np.uint16)
    ids.tofile(Path(folder) / "part.npy")
    return Corpus(path=folder, held_out=held_out)


def loader(run: Run, count: int) -> Callable[[], object]:
    """The pipeline as the loop uses it, from its start through `count` batches."""
    source = functools.partial(run.setting.batches, run.schedule(), run.seeds.tasks)
    mesh = make_mesh(run.mesh)

    def call() -> None:
        for chunk in chunks(source, run.batch, [count], 0, mesh, count):
            jax.block_until_ready(chunk.batches)

    return call


def _gather(folder: str, window: int, tokens: int, kind: type) -> Callable[[], object]:
    """What a loader has to do at least."""
    (path,) = Path(folder).iterdir()
    ids = np.memmap(path, np.uint16, mode="r")
    table = ids[: len(ids) // window * window].reshape(-1, window)
    picked = np.random.default_rng(1).integers(0, len(table), tokens // window)
    pieces = np.split(picked, tokens * ids.itemsize // LARGEST)

    def call() -> None:
        held: collections.deque[np.ndarray] = collections.deque(maxlen=_HELD)
        for piece in pieces:
            held.append(table[piece].astype(kind, copy=False))

    return call
