"""A corpus of random tokens, and language models that are trained on it within seconds."""

import atexit
import functools
import tempfile
from pathlib import Path

import numpy as np

from rare_retention.config import override
from rare_retention.experiment import Exposure, Run
from rare_retention.optimizer import Optimizer
from rare_retention.settings.language import Language
from rare_retention.tasks import Comparison, ModularAddition
from rare_retention.text.corpus import Corpus

VOCABULARY, END = 200, 199
WINDOW, BATCH = 16, 8
TOKENS = WINDOW * BATCH


def write_tokens(folder, sizes=(1000, 37, 2000), seed=0, dtype="<u2"):
    """Raw files of ids below `VOCABULARY`."""
    rng = np.random.default_rng(seed)
    for i, size in enumerate(sizes):
        rng.integers(0, VOCABULARY, size).astype(dtype).tofile(Path(folder) / f"{i}.npy")


def corpus(folder=None, **fields):
    """Those files, by default of a folder that all tests share and none changes."""
    given = {"vocabulary": VOCABULARY, "end_of_document": END, "held_out": 5}
    return Corpus(path=str(folder or _folder()), **(given | fields))


@functools.cache
def _folder():
    place = tempfile.TemporaryDirectory()
    atexit.register(place.cleanup)
    write_tokens(place.name)
    return place.name


def language(folder=None, **fields):
    """Two sizes; three comparisons and one addition in each batch of 8 x 16 tokens."""
    given = {
        "corpus": corpus(folder),
        "window": WINDOW,
        "tasks": (
            Comparison(per_token=3 / TOKENS, symbols=9),
            ModularAddition(per_token=1 / TOKENS, symbols=7),
        ),
        "per_sequence": 2,
        "sizes": ("2x16x32x2", "1x8x16x2"),
        "evaluated": 20,
    }
    return Language(**(given | fields))


def run(setting=None, **changes):
    """A run of a few steps, with changes of fields below it: `steps=8`, `measure__every=4`."""
    whole = Run(
        setting=setting or language(),
        exposure=Exposure(placement="even"),
        optimizer=Optimizer(peak=1e-2, schedule="cosine", horizon=16, warmup=2, clip_warmup=3),
        batch=BATCH,
        steps=8,
    )
    own = {
        "measure.every": "2",
        "measure.effect": "false",
        "checkpoints.every": "4",
        "mesh.data": "1",
    }
    return override(whole, own | {k.replace("__", "."): str(v) for k, v in changes.items()})
