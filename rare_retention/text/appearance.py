"""Whether files that are read as token ids look like ids of that type.

Raw files say nothing of themselves. Ids of another width or byte order, compressed files and plain
text are numbers too, and a model would train on them without a word: uint32 ids read as uint16 are
`id, 0, id, 0`. So a sample of each file is looked at before anything is trained.
"""

import codecs
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rare_retention.errors import UserError
from rare_retention.text.token_files import READERS, TokenFile, is_local, little_endian

VERSION = 1  # Raise it with any change of what is refused.

_PIECE = 2**13  # bytes that are looked at in one place of a file
_PLACES = 4  # of a file
_REMOTE = 16  # files on remote storage that are looked at
_FEWEST = 64  # ids from which on every other one is compared with the others
_HIGH = 15  # the greatest upper half of an id: vocabularies have less than a million ids
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f")) + b"\x7f"  # not in text


def check(files: Sequence[TokenFile], vocabulary: int) -> None:
    """Looks at a sample of each file; on remote storage at files evenly spread.

    Args:
        files: of a corpus.
        vocabulary: ids are below it.

    Raises:
        UserError: a file holds text, ids of another width or byte order, or ids that are not below
            the vocabulary.
    """
    chosen = [file for file in files if file.tokens]
    if chosen and not is_local(chosen[0].path):
        places = np.linspace(0, len(chosen) - 1, _REMOTE).astype(np.int64)
        chosen = [chosen[i] for i in np.unique(places)]
    with ThreadPoolExecutor(READERS) as pool:
        faults = pool.map(functools.partial(_fault, vocabulary=vocabulary), chosen)
        for file, fault in zip(chosen, faults, strict=True):
            if fault:
                raise UserError(f"{file.path}: {fault}")


def _fault(file: TokenFile, vocabulary: int) -> str:
    """What is wrong with a file and how to mend it; empty where nothing is."""
    pieces = _pieces(file)
    if all(map(_is_text, pieces)):
        return (
            "holds text, not token ids; make a corpus of it with `python -m launch.prepare_corpus`"
        )
    sample = b"".join(pieces)
    ids = np.frombuffer(sample, little_endian(file.dtype))
    if _wider(ids):
        return _too_narrow(sample, file)
    largest = int(ids.max())
    if largest < vocabulary:
        return ""
    if ids.byteswap().max() < vocabulary:
        kind = ids.dtype.str
        return (
            "holds ids in big-endian order; convert it with "
            f"`numpy.fromfile('{file.path.name}', '>{kind[1:]}').astype('{kind}').tofile(...)`"
        )
    if file.dtype == "uint32":
        narrow = np.frombuffer(sample, "<u2")
        if narrow.max() < vocabulary and not _wider(narrow):
            return "looks like uint16 ids, read as uint32; set corpus.dtype='uint16'"
    return unknown(largest, vocabulary, file.dtype)


def unknown(largest: int, vocabulary: int, dtype: str) -> str:
    """What is said of an id that is not below the vocabulary."""
    return (
        f"holds token id {largest:,}, but the vocabulary has {vocabulary:,}; set "
        f"corpus.vocabulary, or corpus.dtype if the file is not {dtype}"
    )


def _pieces(file: TokenFile) -> list[bytes]:
    """Bytes from places spread over a file, each from a whole 64-bit number on."""
    last = max(file.size - _PIECE, 0)
    starts = sorted({last * i // (_PLACES - 1) // 8 * 8 for i in range(_PLACES)})
    return [file.piece(start, min(start + _PIECE, file.size)) for start in starts]


def _too_narrow(sample: bytes, file: TokenFile) -> str:
    wide = np.frombuffer(sample[: len(sample) // 4 * 4], "<u4")
    if file.dtype == "uint32" or _wider(wide):
        return (
            "looks like 64-bit ids; convert it with "
            f"`numpy.fromfile('{file.path.name}', '<i8').astype('<u4').tofile(...)` and set "
            "corpus.dtype='uint32'"
        )
    return "looks like uint32 ids, read as uint16; set corpus.dtype='uint32'"


def _wider(ids: np.ndarray) -> bool:
    """Whether every other id looks like the upper half of a number twice as wide.

    Those are next to nothing and hardly differ, while the lower halves do.
    """
    if len(ids) < _FEWEST:
        return False
    low, high = ids[: len(ids) // 2 * 2].reshape(-1, 2).T
    if high.max() > _HIGH or high.max() >= low.max():
        return False
    return len(np.unique(low)) > 4 * len(np.unique(high))


def _is_text(piece: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters, but for a character cut at either end."""
    if len(piece) < _FEWEST or piece.translate(None, _CONTROL) != piece:
        return False
    cut = next((i for i, byte in enumerate(piece[:4]) if byte & 0xC0 != 0x80), 4)
    decoder: Callable[..., str] = codecs.getincrementaldecoder("utf-8")().decode
    try:
        decoder(piece[cut:])
    except UnicodeDecodeError:
        return False
    return True
