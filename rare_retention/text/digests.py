"""Digests of token files that cost seconds at any size, and what differs where two texts do.

A file of up to its share of 48 MiB is hashed whole. Of a larger one the first and the last block of
8 KiB are hashed, and between them one block in each of many equal stretches, at places that depend
on the size alone. So a digest sees a file whose windows were put into another order, and any other
text; a change of a few tokens of a large file it may miss.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from etils import epath

from rare_retention.text.token_files import READERS, Part, TokenFile, pieces

VERSION = 1  # Raise it with any change that gives an old file another digest.
WHOLE = 48 * 2**20  # bytes of a corpus that are hashed at most, until `LEAST` asks for more
# Bytes; no more than a window has in most studies: to move a window is to move blocks.
BLOCK = 2**13
BLOCKS = 2**11  # of a corpus: requests to remote storage, or movements of a disk
LEAST = 4  # blocks of a file, however many files there are


class _Stored(Protocol):
    """A file whose bytes can be read by ranges."""

    @property
    def size(self) -> int:
        """Bytes."""

    def piece(self, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`."""


def spans(size: int, files: int) -> list[tuple[int, int]]:
    """Which bytes of a file are hashed, as (start, end); a pure function of its arguments.

    Args:
        size: bytes of the file.
        files: of its corpus, which share what is read.
    """
    count = max(BLOCKS // files, LEAST)
    if size <= max(WHOLE // files, count * BLOCK):
        return [(0, size)]
    stretch = (size - 2 * BLOCK) // (count - 2)
    # The raw words of a bit generator are the same in every version of NumPy.
    words = np.random.PCG64(size).random_raw(count - 2)
    inside = (words % np.uint64(stretch - BLOCK + 1)).astype(np.int64)
    middle = BLOCK + np.arange(count - 2) * stretch + inside
    return [(start, start + BLOCK) for start in [0, *middle.tolist(), size - BLOCK]]


def is_whole(file: _Stored, files: int) -> bool:
    """Whether the digest of a file is the SHA-256 of all its bytes."""
    return len(spans(file.size, files)) == 1


def digests(files: Sequence[_Stored]) -> list[str]:
    """The digest of each file of a corpus, 64 hexadecimal digits.

    Raises:
        UserError: a file has become shorter since it was opened.
    """
    chosen = [spans(file.size, len(files)) for file in files]
    asked = [(file, *span) for file, own in zip(files, chosen, strict=True) for span in own]
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda ask: ask[0].piece(*ask[1:]), asked)
        pairs = zip(files, chosen, strict=True)
        return [_hash(file.size, own, found) for file, own in pairs]


def sample(content: bytes, files: int) -> str:
    """Version and digest of a file with this content, in a corpus of so many files."""
    own = spans(len(content), files)
    return told(_hash(len(content), own, (content[start:stop] for start, stop in own)))


def told(digest: str) -> str:
    """A digest of `digests` with the version of this module."""
    return f"{VERSION} {digest}"


def _hash(size: int, own: Sequence[tuple[int, int]], found: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for _ in own:
        digest.update(next(found))
    if len(own) > 1:
        digest.update(size.to_bytes(8, "little"))
    return digest.hexdigest()


def agrees(file: _Stored, files: int, part: Part, found: str | None = None) -> bool:
    """Whether a file is the one that was made, as far as its digest sees; True if that is unknown.

    Args:
        file: one of a prepared corpus.
        files: how many it has.
        part: what is known of the one that was made.
        found: its digest, as `digests` gives it; None: it is taken here.
    """
    wanted = told(part.digest) if is_whole(file, files) else part.sample
    if not wanted.startswith(told("")):
        return True
    if found is None:
        own = spans(file.size, files)
        found = _hash(file.size, own, (file.piece(*span) for span in own))
    return wanted == told(found)


def of_file(path: epath.Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    for piece in pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def names(files: Sequence[TokenFile]) -> list[str]:
    """The path of each file from the innermost folder that holds them all, such as "a/0.npy"."""
    parts = [str(file.path).split("/") for file in files]
    levels = list(zip(*(each[:-1] for each in parts), strict=False))
    shared = next((i for i, level in enumerate(levels) if len(set(level)) > 1), len(levels))
    return ["/".join(each[shared:]) for each in parts]


def change(before: Sequence[str], after: Sequence[str]) -> str:
    """What happened to the files of a text, in one clause; "" if nothing did.

    Args:
        before: "NAME DIGEST" of each file, in their order.
        after: the same, later.
    """
    if len(before) != len(after):
        return f"{len(after):,} files where there were {len(before):,}"
    old, new = ([line.rsplit(" ", 1) for line in lines] for lines in (before, after))
    pairs = list(zip(old, new, strict=True))
    moved = [(a[0], b[0]) for a, b in pairs if a[1] != b[1]]
    if moved and sorted(a[1] for a in old) == sorted(b[1] for b in new):
        a, b = moved[0]
        where = f"{b} now stands where {a} stood" if a != b else f"{a} holds what another held"
        return f"the same files in another order: {where}{_more(moved)}"
    if moved:
        return f"other bytes in {moved[0][1]}{_more(moved)}"
    renamed = [(a[0], b[0]) for a, b in pairs if a[0] != b[0]]
    return f"{renamed[0][0]} is now {renamed[0][1]}{_more(renamed)}" if renamed else ""


def _more(found: Sequence[object]) -> str:
    return f", and {len(found) - 1:,} more" if len(found) > 1 else ""
