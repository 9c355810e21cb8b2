"""A corpus as its config describes it, where its text is not at hand.

What a run will cost, and whether its plan can be honoured, depends on the vocabulary alone, not on
what is written. So a plan is made on a laptop, and the corpus stands where the study will run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NoReturn

import numpy as np

from rare_retention.errors import UserError
from rare_retention.text import token_files
from rare_retention.text.corpus import (
    AI2_DTYPE,
    AI2_END_OF_DOCUMENT,
    AI2_VOCABULARY,
    EMBEDDED_VOCABULARY,
    Corpus,
    Windows,
    open_corpus,
)

When = Literal["never", "absent", "always"]

_WHEN: ContextVar[When] = ContextVar("declared", default="never")


@contextmanager
def declared(when: When) -> Iterator[None]:
    """While entered, settings take a corpus to be what its config says.

    Args:
        when: "absent": where nothing stands under its path, or its storage cannot be reached;
            "always": without looking. "never" opens it, which is what happens outside.
    """
    before = _WHEN.set(when)
    try:
        yield
    finally:
        _WHEN.reset(before)


class Declared(Windows):
    """A corpus whose text is not at hand: ids below a vocabulary, and nothing else.

    Args:
        corpus: what the config says of it; ids are AI2's where it says nothing.
        window: tokens T of a window.
    """

    absent = True

    def __init__(self, corpus: Corpus, window: int) -> None:
        own = AI2_VOCABULARY if corpus.path else EMBEDDED_VOCABULARY
        self.vocabulary = own if corpus.vocabulary is None else corpus.vocabulary
        end = AI2_END_OF_DOCUMENT if corpus.vocabulary is None and corpus.path else None
        given = corpus.end_of_document if corpus.end_of_document is not None else end
        self.end_of_document = self.vocabulary - 1 if given is None else given
        self.window = window
        self.dtype = corpus.dtype or AI2_DTYPE
        self.tokenizer = None
        self.references = {}
        self._path = corpus.path or "the embedded corpus"
        self._kept = corpus.held_out

    def _refuse(self) -> NoReturn:
        raise UserError(f"{self._path}: its text is not here, only what the config says of it")

    @property
    def identity(self) -> str:
        """Not known."""
        self._refuse()

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Refused: there is no text."""
        del index
        self._refuse()

    def train(self, position: np.ndarray, seed: int) -> np.ndarray:
        """Zeros in the shape and type of the windows, [n, T]: programs are compiled for these."""
        del seed
        return np.zeros((len(position), self.window), self.dtype)

    def held_out(self) -> np.ndarray:
        """Zeros in the shape of the windows that training will not see, int32 [H, T]."""
        return np.zeros((self._kept, self.window), np.int32)

    def unigram_entropy(self) -> float:
        """Not known: NaN."""
        return float("nan")


def opened(corpus: Corpus, window: int) -> Windows:
    """The corpus, or what its config says of it where `declared` has asked for that.

    Args:
        corpus: which text.
        window: tokens T of a window.

    Raises:
        ConfigError: as `open_corpus`.
        UserError: as `open_corpus`.
    """
    when = _WHEN.get()
    if when == "always":
        return Declared(corpus, window)
    if when == "absent" and corpus.path and _is_absent(corpus.path):
        return Declared(corpus, window)
    return open_corpus(corpus, window)


def _is_absent(path: str) -> bool:
    """Whether nothing is there, or whoever keeps it does not let us look."""
    try:
        token_files.find(path)
    except token_files.Absent:
        return True
    except UserError:
        return False  # what is there and wrong is said when it is opened
    except Exception:  # no network, no credentials: each storage has errors of its own
        if "://" not in path:
            raise
        return True
    return False
