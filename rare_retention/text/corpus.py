"""Corpora as runs read them: windows of tokens with random access, in a shuffled or a given order.

A window is T consecutive tokens of one file; windows do not overlap, they run across documents and
never across files, and what a file has left after its last whole window is not read.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from etils import epath

from rare_retention.config import (
    ConfigError,
    Natural,
    Positive,
    config,
    fingerprint,
    to_dict,
)
from rare_retention.errors import UserError
from rare_retention.schedule.shuffle import permute
from rare_retention.text import appearance, digests, fixed_order, token_files
from rare_retention.text.blocks import Reader
from rare_retention.text.fixed_order import FixedOrder
from rare_retention.text.known import known
from rare_retention.text.preparation import embedded
from rare_retention.text.token_files import (
    AGAIN,
    CONTENTS,
    TOKENIZER,
    Contents,
    DamagedText,
    Dtype,
    TokenFile,
    little_endian,
    read_contents,
)
from rare_retention.text.tokenizing import LEAST_VOCABULARY

# AI2's token files of Dolma, which say nothing about themselves: tokenizer allenai/gpt-neox-olmo.
AI2_DTYPE: Dtype = "uint16"
AI2_VOCABULARY = 50280
AI2_END_OF_DOCUMENT = 50279
AI2_SEED = 6198
EMBEDDED_VOCABULARY = 1024

_COUNTED = 50_000_000  # tokens beyond which `unigram_entropy` takes a sample
_BLOCK = 2**22  # tokens that are counted at once
_CACHED = 2**17  # tokens that are read at once

LATER = {"order_seed": AI2_SEED, "order_file": ""}
"""Fields that came later, and the value at which a corpus is what it was before."""


@config
class Corpus:
    """Which text a run reads.

    Attributes:
        path: folder of token files, a file, a glob of them, or a .txt file that names one in each
            line, in their order; local or gs://. "" is the embedded default, the sources of
            Python's standard library, tokenised on first use.
        order: "shuffled", in a new order each epoch and for each seed; "sequential", in that of
            the files; or "olmo", as AI2's trainer of OLMo reads its files: a permutation of all
            windows by NumPy's PCG64 from `order_seed` + epoch, the same for all runs.
        held_out: windows kept from training, for evaluation; evenly spread over the corpus, under
            "olmo" the last ones of its first epoch, so that all before them stand where AI2's do.
        order_seed: of "olmo"; 6198 is that of AI2's published configurations.
        order_file: file of AI2's `global_indices`, raw uint32 numbers of windows, that says the
            order of the first epoch in place of `order_seed`; "" computes it.
        dtype: of the files; None: as corpus.json says, uint16 where there is none.
        vocabulary: ids are below it; None: as corpus.json says, 50,280 (AI2's) where there is none.
            For the embedded default, how many ids its tokenizer has (None: 1,024).
        end_of_document: id after each document; None: as corpus.json says, 50,279 where there is
            none.
        cache_mib: memory for what is read from gs://, in MiB of each process. It decides how often
            the storage is asked, and nothing else: what is read is the same.
    """

    path: str = ""
    order: Literal["shuffled", "sequential", "olmo"] = "shuffled"
    held_out: int = 64
    dtype: Dtype | None = None
    vocabulary: int | None = None
    end_of_document: int | None = None
    order_seed: Natural = AI2_SEED
    order_file: str = ""
    cache_mib: Positive = 1024

    def __post_init__(self) -> None:
        if self.held_out < 0:
            raise ConfigError("held_out", f"expected 0 windows or more, got {self.held_out}")
        least = 1 if self.path else LEAST_VOCABULARY
        if self.vocabulary is not None and self.vocabulary < least:
            raise ConfigError("vocabulary", f"expected {least} ids or more, got {self.vocabulary}")
        for name in ("dtype", "end_of_document"):
            if not self.path and getattr(self, name) is not None:
                raise ConfigError(name, "the embedded corpus has its own; leave it out or set path")
        for name, default in LATER.items():
            if self.order != "olmo" and (given := getattr(self, name)) != default:
                raise ConfigError(
                    name,
                    f"order = 'olmo' alone reads it; expected its default {default!r} with order = "
                    f"{self.order!r}, got {given!r}",
                )


class Windows:
    """The windows of a corpus. Pure functions of numbers: no state, safe on any thread.

    Args:
        files: the files, in their order.
        window: tokens T of a window.
        corpus: how they are read.
        vocabulary: ids are below it.
        end_of_document: id after each document.
        text: "NAME DIGEST" of each file, in their order (see `digests`).
        tokenizer: the tokenizer.json of the corpus, None where it has none.
        references: counts of natural patterns in the text, empty where unknown.

    Attributes:
        count: windows, those held out among them.
        tokens: tokens of all files.
        dtype: of the files.
        absent: whether the text is not at hand (`text.declared`).

    Raises:
        ConfigError: there are too few windows.
    """

    absent = False

    def __init__(
        self,
        files: Sequence[TokenFile],
        window: int,
        corpus: Corpus,
        *,
        vocabulary: int,
        end_of_document: int,
        text: Sequence[str],
        tokenizer: epath.Path | None,
        references: Mapping[str, int],
    ) -> None:
        self.files = tuple(files)
        self.window = window
        self.vocabulary = vocabulary
        self.end_of_document = end_of_document
        self.text = tuple(text)
        self.tokenizer = tokenizer
        self.references = dict(references)
        self.tokens = sum(file.tokens for file in files)
        self.dtype = files[0].dtype
        self._order = corpus.order
        self._reader: Reader | None = None
        if not all(token_files.is_local(file.path) for file in files):
            size = window * np.dtype(self.dtype).itemsize
            in_order = corpus.order == "sequential"
            limit = corpus.cache_mib * 2**20
            self._reader = Reader(self.files, size, limit, sequential=in_order)
        windows = np.array([file.tokens // window for file in files], np.int64)
        self._ends = np.cumsum(windows)
        self._starts = self._ends - windows
        self.count = int(self._ends[-1])
        self._check(corpus)
        # Windows number floor((i + 1/2) count / H), and how many training windows precede each.
        kept = corpus.held_out
        self._fixed: FixedOrder | None = None
        if corpus.order == "olmo":
            self._fixed = FixedOrder(self.count, kept, corpus.order_seed, corpus.order_file)
            self._held = self._fixed.held_out()
        else:
            self._held = (
                (2 * np.arange(kept, dtype=np.int64) + 1) * self.count // (2 * max(kept, 1))
            )
        self._before = self._held - np.arange(kept)

    def _check(self, corpus: Corpus) -> None:
        place = corpus.path or "the embedded corpus"
        if not self.tokens:
            raise ConfigError("corpus.path", f"{place}: holds no tokens")
        if not self.count:
            longest = max(file.tokens for file in self.files)
            raise ConfigError(
                "corpus.path",
                f"{place}: no file has a whole window of {self.window:,} tokens; the longest has "
                f"{longest:,}",
            )
        if self.count <= corpus.held_out:
            raise ConfigError(
                "corpus.held_out",
                f"{corpus.held_out:,} of the {self.count:,} windows of {self.window:,} tokens in "
                f"{place} leave none to train on; expected at most {self.count - 1:,}",
            )

    @property
    def identity(self) -> str:
        """16 hexadecimal digits that tell this text, wherever it stands, from others."""
        return fingerprint({"dtype": self.dtype, "files": self.text})

    def gather(self, index: np.ndarray) -> np.ndarray:
        """Windows by number.

        Args:
            index: numbers below `count`, int64 [n].

        Returns:
            Their tokens in the type of the files, uint16 or uint32 [n, T]: half the bytes of int32
            for most vocabularies, on the way to the devices too.

        Raises:
            UserError: an id is not below the vocabulary.
        """
        if index.size and not 0 <= index.min() <= index.max() < self.count:
            raise IndexError(f"windows 0 to {self.count - 1}, got {index.min()} to {index.max()}")
        found = self._empty(len(index))
        number = np.searchsorted(self._ends, index, side="right")
        rows = index - self._starts[number]
        if self._reader is None:
            largest = self._read_maps(number, rows, found)
        else:
            self._reader.read(number, rows, found)
            largest = int(found.max(initial=0))
        if largest >= self.vocabulary:
            raise self._unknown(largest, index[found.max(axis=1).argmax()])
        return found

    def _read_maps(self, number: np.ndarray, rows: np.ndarray, found: np.ndarray) -> int:
        """Reads windows of local files, `rows` of files `number`; the largest id of them."""
        order = number.argsort(kind="stable")
        rows = rows[order]
        touched, first = np.unique(number[order], return_index=True)
        stops = np.append(first, len(rows))[1:]
        largest = 0
        for file, start, stop in zip(touched, first, stops, strict=True):
            # A few windows at a time: they are in a core's cache when their ids are checked.
            for i in range(start, stop, few := max(1, _CACHED // self.window)):
                block = slice(i, min(i + few, stop))
                alone = len(self.files) == 1
                part = found[block] if alone else self._empty(block.stop - block.start)
                self.files[file].read(rows[block], part)
                largest = max(largest, int(part.max()))
                if not alone:
                    found[order[block]] = part
        return largest

    def _empty(self, rows: int) -> np.ndarray:
        """Windows, not set, that JAX takes on a CPU without copying them.

        It does so where the memory starts at a multiple of 64 bytes, which NumPy's own does not.
        """
        kind = little_endian(self.dtype)
        size = rows * self.window * kind.itemsize
        memory = np.empty(size + 64, np.uint8)
        start = -memory.ctypes.data % 64
        return memory[start : start + size].view(kind).reshape(rows, self.window)

    def _unknown(self, largest: int, window: np.int64) -> UserError:
        """The error of an id in a window that is not below the vocabulary."""
        file = self.files[np.searchsorted(self._ends, window, side="right")]
        said = appearance.unknown(largest, self.vocabulary, file.dtype)
        return UserError(f"{file.path}: {said}")

    def train(self, position: np.ndarray, seed: int) -> np.ndarray:
        """Windows of the training stream; each epoch visits every window not held out once.

        Args:
            position: places in the stream, int64 [n]; row r of batch t has t * B + r.
            seed: seed of the order, where it is shuffled.

        Returns:
            Their tokens, as `gather` returns them.
        """
        if self._fixed is not None:
            return self.gather(self._fixed.at(*np.divmod(position, self._fixed.length)))
        epoch, rank = np.divmod(position, self.count - len(self._held))
        if self._order == "shuffled":
            rank = permute(rank, self.count - len(self._held), seed, epoch)
        return self.gather(rank + np.searchsorted(self._before, rank, side="right"))

    def held_out(self) -> np.ndarray:
        """Token ids of the H windows that training never sees, int32 [H, T], in corpus order.

        T is the window's length; the places of the windows are spread evenly over the corpus.
        """
        return self.gather(self._held).astype(np.int32)

    def unigram_entropy(self) -> float:
        """Entropy of the distribution of single tokens, in nats a token.

        What a model reaches that knows how frequent each token is, and nothing else. Over every
        window of up to 50 million tokens, else over windows with that many, evenly spread.
        """
        taken = min(self.count, max(_COUNTED // self.window, 1))
        asked = f"entropy of {taken} windows of {self.window} ids below {self.vocabulary}"
        return float(known(self.files, asked, lambda: self._entropy(taken)))

    def _entropy(self, taken: int) -> float:
        chosen = np.arange(taken, dtype=np.int64) * self.count // taken
        counts = np.zeros(self.vocabulary, np.int64)
        for block in np.array_split(chosen, -(-taken * self.window // _BLOCK)):
            counts += np.bincount(self.gather(block).ravel(), minlength=self.vocabulary)
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())


def open_corpus(corpus: Corpus, window: int) -> Windows:
    """Opens a corpus; the embedded default is prepared on first use, into the cache of the user.

    What was opened before is given again, unless a local file has been written since.

    Args:
        corpus: which text, and how it is read.
        window: tokens T of a window.

    Raises:
        ConfigError: nothing is there, or too little for the window.
        UserError: a file cannot be read as it is described, or is not what corpus.json tells of.
    """
    path = corpus.path or str(embedded(corpus.vocabulary or EMBEDDED_VOCABULARY))
    try:
        return _open(corpus, window, path, _seen(path))
    except DamagedText as error:
        if corpus.path:
            raise
        what = str(error).removesuffix(AGAIN)
        raise UserError(f"{what}remove {path}: the embedded corpus is made anew") from None


def _seen(path: str) -> tuple[Any, ...]:
    """The local files of a path and their times, by which those are known that were opened before.

    Remote ones would take too long to ask for; a process reads them as it has found them.
    """
    if not token_files.is_local(epath.Path(path)):
        return ()
    found = token_files.find(path)
    return tuple((str(file), token_files.status(file)) for file in found if file.exists())


@functools.lru_cache(maxsize=8)
def _open(corpus: Corpus, window: int, path: str, seen: tuple[Any, ...]) -> Windows:
    del seen  # only tells one call from another
    paths = token_files.find(path)
    folder = paths[0].parent
    contents = read_contents(folder) if all(file.parent == folder for file in paths) else None
    whole = contents if epath.Path(path).expanduser() == folder else None
    if whole:
        paths = [folder / part.name for part in whole.files]
    dtype = corpus.dtype or (contents.dtype if contents else AI2_DTYPE)
    files = token_files.scan(paths, dtype)
    if whole:
        _compare(files, whole)
    vocabulary, end_of_document = _ids(corpus, contents, dtype)
    text = _text(files, whole)
    if corpus.order_file:
        text = (*text, f"order {fixed_order.digest(corpus.order_file)}")
    _look(files, vocabulary)
    return Windows(
        files,
        window,
        corpus,
        vocabulary=vocabulary,
        end_of_document=end_of_document,
        text=text,
        tokenizer=_tokenizer(folder, contents),
        references=to_dict(whole.references) if whole else {},
    )


def _text(files: Sequence[TokenFile], contents: Contents | None) -> tuple[str, ...]:
    """Name and digest of each file; of a prepared one, the digest that corpus.json has, too.

    Raises:
        DamagedText: a file, or of a large one a sample, is not what corpus.json tells of.
    """
    found = known(files, f"digests {digests.VERSION}", lambda: digests.digests(files))
    if contents:
        for i, (file, part) in enumerate(zip(files, contents.files, strict=True)):
            if not digests.agrees(file, len(files), part, found[i]):
                raise DamagedText(
                    f"{file.path}: holds other bytes than {CONTENTS} tells of; {AGAIN}"
                )
            if not digests.is_whole(file, len(files)):
                found[i] = fingerprint({"read": found[i], "told": part.digest})
    pairs = zip(digests.names(files), found, strict=True)
    return tuple(f"{name} {digest[:16]}" for name, digest in pairs)


def _compare(files: Sequence[TokenFile], contents: Contents) -> None:
    for file, part in zip(files, contents.files, strict=True):
        if file.tokens != part.tokens:
            raise DamagedText(
                f"{file.path}: {file.tokens:,} tokens as {file.dtype}, but {CONTENTS} says "
                f"{part.tokens:,} as {contents.dtype}; {AGAIN}"
            )


def _look(files: Sequence[TokenFile], vocabulary: int) -> None:
    """Refuses files that do not look like ids; what has passed is not looked at again."""

    def passes() -> bool:
        appearance.check(files, vocabulary)
        return True

    known(files, f"look {appearance.VERSION}, ids below {vocabulary}", passes)


def _ids(corpus: Corpus, contents: Contents | None, dtype: Dtype) -> tuple[int, int]:
    """Vocabulary and end of document: as the user says, else corpus.json, else AI2."""
    vocabulary = contents.vocabulary if contents else AI2_VOCABULARY
    end_of_document = contents.end_of_document if contents else AI2_END_OF_DOCUMENT
    if corpus.path and corpus.vocabulary is not None:
        vocabulary = corpus.vocabulary
    if corpus.end_of_document is not None:
        end_of_document = corpus.end_of_document
    if not 0 <= end_of_document < vocabulary:
        raise ConfigError(
            "corpus.end_of_document",
            f"expected an id below the vocabulary of {vocabulary:,}, got {end_of_document:,}",
        )
    if vocabulary > (most := int(np.iinfo(dtype).max) + 1):
        raise ConfigError(
            "corpus.vocabulary",
            f"{vocabulary:,} ids are more than {dtype} has; expected at most {most:,}, or set "
            "corpus.dtype to what the files hold",
        )
    return vocabulary, end_of_document


def _tokenizer(folder: epath.Path, contents: Contents | None) -> epath.Path | None:
    path = folder / (contents.tokenizer if contents else TOKENIZER)
    if not path.exists():
        if contents:
            raise DamagedText(f"{path}: is missing, but {CONTENTS} names it; {AGAIN}")
        return None
    if contents and contents.tokenizer_digest not in ("", digests.of_file(path)):
        raise DamagedText(f"{path}: is not the one that {CONTENTS} tells of; {AGAIN}")
    return path
